"""Files that would run code if they were unpickled: each makes a folder by its marker's name."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict

import torch


class Attack:
    """Pickles as a call."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def write_zip(content, file):
    torch.save(content, file)


def write_legacy(content, file):
    torch.save(content, file, _use_new_zipfile_serialization=False)


def write_pickle(content, file):
    file.write_bytes(pickle.dumps(content))


# Files that are never read to their end.
ENDLESS = dict(
    device=lambda file: file.symlink_to('/dev/zero'),
    pipe=os.mkfifo,
    sparse=lambda file: file.write_bytes(b'') or os.truncate(file, 2**40),
)
WRITERS = dict(zip=write_zip, legacy=write_legacy, pickle=write_pickle)


class Call:
    """Pickles as a call of a function, of which the result is then given a state."""

    def __init__(self, function, *arguments, state=None):
        self.call = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.call


class Claim:
    """Pickles as the memory of a tensor: a part of the archive, with as many numbers as somebody says."""

    def __init__(self, numel, key='0'):
        self.told = ('storage', torch.FloatStorage, key, 'cpu', numel)


def claimed(numel, shape, stride, offset=0):
    """A tensor over memory that somebody claims."""
    return Call(torch._utils._rebuild_tensor_v2, Claim(numel), offset, shape, stride, False, OrderedDict())


def write_archive(content, file, members=None, compression=zipfile.ZIP_STORED):
    """Write a checkpoint as torch does, but for what is claimed in it."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return value.told if isinstance(value, Claim) else None

    pickled = io.BytesIO()
    Pickler(pickled, 2).dump(content)
    members = {'data.pkl': pickled.getvalue(), 'version': b'3\n', **(members or {'data/0': bytes(16)})}
    with zipfile.ZipFile(file, 'w', compression) as archive:
        for name, value in members.items():
            archive.writestr(f'archive/{name}', value)
