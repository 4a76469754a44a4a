"""Tar shards in the layout of webdataset, written by the standard library."""

import io
import tarfile

from tests.bad_images import encode, photo


def pack(shard, contents, **options):
    """Write a shard of members (name, content), or of a dict of them."""
    shard.parent.mkdir(parents=True, exist_ok=True)
    shard.write_bytes(pack_bytes(contents, **options))
    return shard


def pack_bytes(contents, **options):
    """The bytes of such a shard."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode='w', **options) as tar:
        for name, content in contents.items() if isinstance(contents, dict) else contents:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return whole.getvalue()


def pack_photos(folder, shards=3, each=4):
    """Write shards of small photos, each with its class and a caption, and return their pattern."""
    for s in range(shards):
        contents = {}
        for k in range(s * each, (s + 1) * each):
            contents[f'{k:06d}.jpg'] = encode(photo(k), 'JPEG')
            contents[f'{k:06d}.cls'] = b'%d' % (k % 3)
            contents[f'{k:06d}.txt'] = b'a photo'
        pack(folder / f'train-{s:06d}.tar', contents)
    return str(folder / f'train-{{000000..{shards - 1:06d}}}.tar')
