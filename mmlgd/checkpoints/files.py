"""Read checkpoints from anywhere as data: nothing in them is executed, and downloads are compared with their hash."""

import hashlib
import re
from functools import partial
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from pickle import UnpicklingError
from typing import Any, Optional, Union
from urllib.error import URLError
from urllib.parse import parse_qs, urlparse

import torch
from mmengine.logging import print_log

from mmlgd.errors import DownloadError, MissingFileError, MMLGDError, brief, sentence, shown
from mmlgd.utils.files import digest_of

from .archives import described
from .last import checkpoints_of
from .values import named, plain_values

# torch.hub and torchvision name files so (resnet18-f37072fd.pth); a date (run-20261124.pth) is not a hash. Anybody may
# rename local files: for them, only OpenMMLab's longer form counts.
_HASH_IN_URL = re.compile(r'-(?!20\d{6}\.)([0-9a-f]{8,64})\.[\w.]+$')
_HASH_IN_NAME = re.compile(r'_\d{8}-([0-9a-f]{8})\.pth$')


class CheckpointError(MMLGDError, ValueError):
    """A checkpoint that cannot be read, or does not hold what is needed."""


def read_checkpoint(source: Union[str, Path], map_location: Any = 'cpu') -> dict:
    """Read a checkpoint file or URL as data: nothing in it is executed, and it takes no more memory than its file.

    It may hold tensors, plain values, numpy's numbers, the arguments of a script (as a dict), and mmengine's logs and
    schedules.

    A download is kept in torch's hub folder. At each reading, it is compared with its SHA-256 if this is known: from
    the name (published files end in ``-{hash8}.pth``) or from the address (``https://.../a.pth#sha256=...``). The same
    holds for a local file with a name in OpenMMLab's form, ``NAME_YYYYMMDD-{hash8}.pth``. A download without a hash is
    kept in a folder for its address alone, and each reading warns that there is no hash.

    Args:
        source (str | Path): A local file or an ``http(s)://`` URL.
        map_location (str | torch.device | dict | Callable, optional): The device of the tensors, as in ``torch.load``.
            Defaults to ``'cpu'``.

    Returns:
        dict: The checkpoint as it was saved; :func:`~mmlgd.checkpoints.state_dict_of` returns its tensors.

    Raises:
        MissingFileError: There is no such file. It is a ``FileNotFoundError``.
        DownloadError: The URL cannot be reached. It is a ``ConnectionError``.
        CheckpointError: The file is cut off, is not a checkpoint, holds more than weights, may not be read, or differs
            from its hash; or its tensors are for a device that this machine lacks.
        MemoryError: It does not fit into memory.
    """
    require_source(source)
    if '://' in str(source):
        file = _fetch(str(source))
        return _load(file, f'{source} (kept in {file})', map_location)
    try:
        file = Path(source).expanduser()
        is_there = file.is_file()
    except (OSError, RuntimeError):  # an impossible file name; the home of an unknown user
        is_there = False
    if not is_there:
        raise no_checkpoint(source)
    named = _HASH_IN_NAME.search(file.name)
    if named and not _has_hash(file, named[1], source):
        raise CheckpointError(
            f'{source} does not match the hash in its name: its SHA-256 does not begin with {named[1]}. Copy or '
            f'download it again; if you changed it yourself, give it another name.'
        )
    return _load(file, str(source), map_location)


def no_checkpoint(source: Union[str, Path]) -> MissingFileError:
    """Say that a path is no file, and name a checkpoint that may be meant: in this folder, or beside the path.

    Args:
        source (str | Path): What was given as a checkpoint.

    Returns:
        MissingFileError: The error.
    """
    told, is_folder, which = repr(brief(str(source), 4096)), False, ''
    try:
        path = Path(source).expanduser()
        is_folder = path.is_dir()
        which = _some_of(path if is_folder else path.parent)
    except (OSError, RuntimeError, ValueError):  # an impossible name; the home of an unknown user; a note of others
        pass
    if is_folder:
        which = which or 'and there is no .pth file in it'
        return MissingFileError(f'{told} is a folder, expected the file of a checkpoint, {which}.')
    hint = f'Its folder has others, {which}.' if which else 'A training prints the path of its checkpoint at its end.'
    return MissingFileError(f'There is no checkpoint at {told}. {hint}')


def _some_of(folder: Path) -> str:
    """Name a checkpoint of a folder; empty if there is none, or no such folder."""
    if there := checkpoints_of(folder):
        return f'such as its last one, {shown(there[0])}'
    there = sorted(folder.glob('*.pth'))
    return f'such as {shown(there[0])}' if there else ''


def require_source(source: Any) -> None:
    """Refuse anything that is neither a path nor a URL.

    Args:
        source (Any): What was given as a checkpoint.

    Raises:
        CheckpointError: It is something else.
    """
    if not isinstance(source, (str, Path)):
        hint = ' Give the file that it was read from: its .source.' if hasattr(source, 'source') else ''
        raise CheckpointError(f'A checkpoint is a file or a URL, got a {type(source).__name__}.{hint}')


def _load(file: Path, source: str, map_location: Any) -> dict:
    try:
        checkpoint = _read(file, map_location)
    except UnpicklingError as error:
        raise CheckpointError(
            f'{source} is cut off, is not a checkpoint, or holds more than weights, which is not executed here: '
            f'{_first_line(error)} Compare its size with the original and copy it again. If it is complete, ask for a '
            f'file with only weights (a state dict).'
        ) from error
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except CheckpointError as error:
        raise CheckpointError(f'{source} cannot be read here: {sentence(error)}') from error
    except PermissionError as error:
        raise _unreadable(source, error) from error
    except Exception as error:  # damaged bytes can fail anywhere in the unpickler: KeyError, UnicodeDecodeError, ...
        told = '' if isinstance(error, OSError) else _beginning(file)  # of a disk, the error says more
        raise CheckpointError(
            f'{source} is cut off, or is not a checkpoint: {told or _first_line(error)} Compare its size with the '
            f'original and copy it again.'
        ) from error
    if not isinstance(checkpoint, dict) or not checkpoint:
        raise CheckpointError(f'{source} holds a {type(checkpoint).__name__}, not a checkpoint (a dict of tensors).')
    return checkpoint


def _read(file: Path, map_location: Any) -> dict:
    size = file.stat().st_size
    with file.open('rb') as content:
        start = content.read(9)
        if start[8:] == b'{' and int.from_bytes(start[:8], 'little') < size:
            raise CheckpointError(
                "it has the format of safetensors, not of torch. Give the run's own .pth file; the weights of a bare "
                "backbone can be copied into one: torch.save(safetensors.torch.load_file(FILE), 'backbone.pth')."
            )
        content.seek(0)
        return plain_values(described(content, named, partial(_placed, map_location)), size)


def _placed(map_location: Any, memory: torch.UntypedStorage, location: str) -> torch.UntypedStorage:
    """Move what was read to the caller's device, as torch does."""
    if callable(map_location) and (moved := map_location(memory, location)) is not None:
        return moved
    if isinstance(map_location, dict):
        location = map_location.get(location, location)
    elif isinstance(map_location, (str, torch.device)):
        location = str(map_location)
    try:
        return torch.serialization.default_restore_location(memory, location)
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise CheckpointError(
            f'its tensors are on the device {shown(brief(location))!r}, which this machine lacks: {_first_line(error)} '
            f"Read it with map_location='cpu'."
        ) from error


def _fetch(url: str) -> Path:
    """Download a file unless it is there already, and compare it with its hash."""
    try:
        address = urlparse(url)
    except ValueError as error:
        raise CheckpointError(f'{url!r} is not a valid address: {error}.') from error
    name = PurePosixPath(address.path).name
    if address.scheme not in ('http', 'https', 'file') or name in ('', '..') or '\\' in name:
        raise CheckpointError(f'Weights are read from a file, or from http(s)://HOST/.../NAME.pth, got {url!r}.')
    expected = _expected_hash(url)
    folder = Path(torch.hub.get_dir(), 'checkpoints')
    if expected is None:
        print_log(f'{url} gives no hash to compare the file with. Add #sha256=... to the address.', 'current', 30)
        # A folder for the address: a file of the same name may come from elsewhere.
        folder /= hashlib.sha256(url.encode('utf-8', 'surrogatepass')).hexdigest()[:16]
    file = folder / name
    if file.is_file() and (expected is None or _has_hash(file, expected, url)):
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(file), hash_prefix=expected)
    except RuntimeError as error:  # torch raises it for a wrong hash, and has removed the file
        raise CheckpointError(
            f'{url} does not match its hash: {error}. The file was changed on the way or on the server. Ask its '
            f'publisher. If you trust the file anyway, add #sha256= and its hash to the address.'
        ) from error
    except (URLError, OSError, HTTPException, ValueError) as error:  # ValueError: an incomplete address
        raise DownloadError(
            f'Cannot download {url}: {getattr(error, "reason", error)}. On a machine without a network, copy the file '
            f'here and give its path.'
        ) from error
    return file


def _expected_hash(url: str) -> Optional[str]:
    address = urlparse(url)
    given = parse_qs(address.fragment).get('sha256')
    if given and not re.fullmatch('[0-9a-f]{64}', given[0].lower()):
        raise CheckpointError(f'#sha256= takes the 64 hexadecimal digits that `sha256sum FILE` prints, got {url!r}.')
    named = _HASH_IN_URL.search(address.path)
    return given[0].lower() if given else named and named[1]


def _has_hash(file: Path, expected: str, source: Union[str, Path]) -> bool:
    try:
        return digest_of(file).startswith(expected)
    except PermissionError as error:
        raise _unreadable(source, error) from error


def _unreadable(source: Union[str, Path], error: OSError) -> CheckpointError:
    return CheckpointError(f'{source} cannot be read: {error.strerror}. Change its permissions, or copy it again.')


def _beginning(file: Path) -> str:
    """Say how a file begins that is of another kind: a web page, a pointer of Git LFS, an image."""
    with file.open('rb') as content:
        start = content.read(24)
    return '' if start[:2] == b'PK' or start[:1] in (b'\x80', b'') else f'it begins with {start!r}.'


def _first_line(error: Exception) -> str:
    return sentence(shown(brief(str(error).splitlines()[0], 500)) if str(error).strip() else 'it ends early')
