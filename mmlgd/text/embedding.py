"""Text embeddings of class names, computed once for each teacher, vocabulary and set of templates."""

import hashlib
import json
import logging
import math
import zlib
from pathlib import Path
from typing import Callable, Optional

import torch
import torch.nn.functional as F
from mmengine.dist import broadcast, broadcast_object_list, is_main_process
from mmengine.logging import print_log
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from tqdm import tqdm

from mmlgd.checkpoints.teacher_ids import teacher_key
from mmlgd.errors import MMLGDError, shown
from mmlgd.utils.distributed import fail_together
from mmlgd.utils.files import UnreadableError, own_folder, require_file, write_whole
from mmlgd.utils.numerics import same_rows, usable_rows
from mmlgd.utils.paths import cache_folder

from .phrasings import SEPARATOR, phrasings
from .templates import fill

_BATCH = 256  # prompts per forward pass: enough to keep the text tower busy, also on a CPU
_SHORTEST = 1e-3  # of the mean of unit rows; less is what rounding leaves of prompts that cancel each other out
_HEADER = 2**16  # bytes; safetensors needs a few hundred here


class EmbeddingError(MMLGDError, ValueError):
    """A text tower gives an embedding that is no unit row, or embeddings that cancel each other out."""


def embed_class_names(
    encode_text: Callable[[list[str]], Tensor],
    embed_dim: int,
    teacher_id: str,
    names: list[str],
    templates: list[str],
    cache_dir: Optional[str] = None,
    kept_in: Optional[str] = None,
    prepare: Callable[[], None] = lambda: None,
    kind: str = 'names',
) -> Tensor:
    r"""Embed class names by the mean over prompt templates, on one rank, once.

    .. math:: e_k = \text{unit}\Big(\sum_p \text{unit}\big(f(\text{template}_p(\text{name}_k))\big)\Big)

    where the sum runs over the phrasings of the name, too: see :func:`~mmlgd.text.phrasings`. The result is kept in a
    file keyed by teacher, names and templates, so that a restart reads it; in a distributed run the main process reads
    or computes it and sends it to the others.

    Args:
        encode_text (Callable): M prompts to (M, D) unit rows.
        embed_dim (int): D.
        teacher_id (str): Identity of the teacher and its weights, part of the key.
        names (List[str]): K class names.
        templates (List[str]): P prompt templates.
        cache_dir (str, optional): Folder of the files. Defaults to ``$MMLGD_CACHE``, else ``~/.cache/mmlgd``.
        kept_in (str, optional): Another folder that is read first, and not written. Defaults to None.
        prepare (Callable): Called on all ranks before one of them calls ``encode_text``. Defaults to nothing.
        kind (str): What the log calls the names. Defaults to ``'names'``.

    Returns:
        Tensor: (K, D) float32 on the CPU, rows of unit length.

    Raises:
        EmbeddingError: An embedding is zero or not finite; the message names teacher, class and prompt.
        OtherRankError: On the other ranks, if the main process failed.
    """
    embeddings, is_kept = torch.empty(len(names), embed_dim), [False]
    folders = [kept_in, cache_dir] if kept_in else [cache_dir]
    files = [_cache_file(teacher_id, names, templates, folder) for folder in folders]
    with fail_together():
        if is_main_process():
            found = (_read(file, embeddings.shape, kind) for file in files)
            kept = next((rows for rows in found if rows is not None), None)
            is_kept, embeddings = [kept is not None], embeddings if kept is None else kept
    broadcast_object_list(is_kept)
    if not is_kept[0]:
        prepare()  # on all ranks: it may build parts that communicate
        with fail_together():
            if is_main_process():
                embeddings = _encode(encode_text, teacher_id, names, templates, kind)
                _write(files[-1], embeddings)
    broadcast(embeddings)  # in place; nothing to do outside a distributed run
    _warn_of_copies(embeddings, teacher_id, names)
    return embeddings


def keep_embeddings(
    embeddings: Tensor, teacher_id: str, names: list[str], templates: list[str], cache_dir: Optional[str] = None
) -> None:
    """Write embeddings of class names where :func:`embed_class_names` reads them, unless they are there already.

    Args:
        embeddings (Tensor): (K, D) float32, rows of unit length.
        teacher_id (str): The identity that readers use. It may be an older one of the same teacher.
        names (List[str]): K class names.
        templates (List[str]): P prompt templates.
        cache_dir (str, optional): See :func:`embed_class_names`. Defaults to None.
    """
    file = _cache_file(teacher_id, names, templates, cache_dir)
    if _read(file, embeddings.shape) is None:
        _write(file, embeddings.cpu())


def _encode(
    encode_text: Callable[[list[str]], Tensor], teacher_id: str, names: list[str], templates: list[str], kind: str
) -> Tensor:
    told = [[fill(template, one) for one in phrasings(name) for template in templates] for name in names]
    prompts = [prompt for of_class in told for prompt in of_class]  # names outermost
    print_log(f'Encoding {len(prompts):,} prompts ({len(names):,} {kind}; templates: {len(templates)}).', 'current')
    starts = tqdm(range(0, len(prompts), _BATCH), desc='text bank', unit_scale=_BATCH, disable=None)
    rows = torch.cat([encode_text(prompts[i : i + _BATCH]).float().cpu() for i in starts])  # (prompts, D)
    rows = rows.split([len(of_class) for of_class in told])  # K of (phrasings * P, D)
    means = torch.stack([of_class.mean(dim=0) for of_class in rows])  # (K, D)
    for name, of_class, embeddings, mean in zip(names, told, rows, means):
        usable = [*usable_rows(embeddings).tolist(), bool(mean.norm() > _SHORTEST)]
        if not all(usable):
            p = usable.index(False)
            fault = 'those of its prompts cancel each other out'
            if p < len(of_class):
                fault = f'that of {of_class[p]!r} is zero, NaN, Inf or not of unit length'
            raise EmbeddingError(
                f'The text tower gives no usable embedding for the class {name!r}: {fault}. The teacher is '
                f'{teacher_id}; its weights are broken, or half precision overflows.'
            )
    return F.normalize(means, dim=-1)


def _warn_of_copies(embeddings: Tensor, teacher_id: str, names: list[str]) -> None:
    if pairs := same_rows(embeddings):
        told = ', '.join(f'{shown(names[i])!r} and {shown(names[j])!r}' for i, j in pairs[:5])
        print_log(
            f'The teacher {teacher_id} gives the same embedding to two class names, and cannot tell them apart: {told} '
            f'({len(pairs)} in all). Its tokenizer may not know their letters, or ignore what differs (capitals). '
            f'Give other words.',
            'current',
            logging.WARNING,
        )


def _cache_file(teacher_id: str, names: list[str], templates: list[str], cache_dir: Optional[str]) -> Path:
    folder = Path(cache_dir).expanduser() if cache_dir else cache_folder()
    told = [phrasings(name) if SEPARATOR in name else name for name in names]
    key = hashlib.sha256(json.dumps([teacher_key(teacher_id), told, templates]).encode()).hexdigest()[:32]
    return folder / 'text' / f'{key}.safetensors'


def _read(file: Path, shape: torch.Size, kind: str = 'names') -> Optional[Tensor]:
    if not file.is_file():
        return None
    try:
        # No more than these rows and a header: the file may come from somebody else.
        require_file(file, math.prod(shape) * torch.float32.itemsize + _HEADER)
        with safe_open(file, 'pt') as content:
            embeddings = content.get_tensor('embeddings')
            checksum = (content.metadata() or {}).get('crc32')
        fault = _fault(embeddings, shape, checksum)
    except (
        SafetensorError,
        UnreadableError,
        KeyError,
        OSError,
        RuntimeError,
    ) as error:  # RuntimeError is torch's, for a file that has just been removed
        fault = str(error)
    if fault:
        print_log(f'Cannot read the cached text embeddings {file} ({fault}): computing them again.', 'current', 30)
        return None
    print_log(f'Text embeddings of {shape[0]:,} {kind} read from {file}.', 'current')
    return embeddings


def _fault(embeddings: Tensor, shape: tuple, checksum: Optional[str]) -> str:
    """Return what is wrong with kept embeddings, empty if nothing is; files of earlier versions have no checksum."""
    if embeddings.shape != shape or embeddings.dtype != torch.float32:
        return f'{embeddings.dtype} {tuple(embeddings.shape)} instead of torch.float32 {tuple(shape)}'
    if not ((embeddings.norm(dim=-1) - 1).abs() < 1e-3).all():  # also True for NaN
        return 'it has rows that are not of unit length'
    if checksum not in (None, _checksum(embeddings)):
        return 'it differs from its checksum'
    return ''


def _checksum(embeddings: Tensor) -> str:
    return f'{zlib.crc32(embeddings.numpy()):08x}'


def _write(file: Path, embeddings: Tensor) -> None:
    embeddings = embeddings.contiguous()
    try:
        own_folder(file.parent)
        write_whole(file, save({'embeddings': embeddings}, dict(crc32=_checksum(embeddings))), shared=True)
    except OSError as error:
        reason = error.__cause__ or error
        print_log(
            f'Cannot keep the text embeddings in {file} ({reason}): the next start computes them again.', 'current', 30
        )
