"""A teacher store on disk: one description, and shards of float16 rows that are either complete or absent."""

import io
import json
import os
import shlex
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Callable, NamedTuple, Optional, Union

import numpy as np
import torch

from mmlgd.errors import sentence
from mmlgd.utils.files import own_folder, read_small, write_whole
from mmlgd.utils.numerics import usable_rows

from .description import MOST_SHARDS, StoreError, check_origin, read_description
from .places import KeptPlaces

FORMAT = 2
FORMAT_WITH_PLACES = 3  # of stores with places, which earlier versions cannot read
_READABLE = (1, FORMAT, FORMAT_WITH_PLACES)  # format 1 has no digests of files, and only digests of views
DESCRIPTION = 'store.json'
_FEWEST_ROWS = 1024
_DIGEST = np.dtype('<u4')
_NPY = (1, 0)  # the version of the format that numpy writes here; later ones allow headers of up to 4 GiB
_CHECKSUMS = 100  # bytes


class _Shard(NamedTuple):
    """An open shard, whose checksum has been compared."""

    rows: np.ndarray
    files: Optional[np.ndarray]
    places: Optional[np.ndarray]


class TeacherStore:
    """A teacher store on disk.

    Row ``view * images + image`` is the teacher's embedding of one view of one image. ::

        store.json          how the rows were made: teacher, images, augmentation, probes
        shards/00000.npy    float16 (rows, D), in order; memory-mapped
        shards/00000.places float16 (rows, h, w, D), or names (rows, h, w, M); only in a store with places; likewise
        shards/00000.files  uint32, for each row the digest of its image file
        shards/00000.crc32  the checksums of these, written when the shard is complete
        shards/00000.bad    only if some of its images were bad: their numbers and the reasons; their rows are zero
        text/*.safetensors  embeddings of the class names

    Args:
        folder (str | Path): With a ``store.json`` in it, see :meth:`create`.

    Attributes:
        description (dict): The content of ``store.json``.
        places (KeptPlaces, optional): What is kept of the places of each view; None for a store without places.

    Raises:
        StoreError: There is no store, or it is damaged or has another format.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> store = TeacherStore.create(folder, dict(views=1, images=dict(count=2), teacher=dict(embed_dim=3)))
        >>> store.write(0, np.eye(3)[:2])
        >>> TeacherStore(folder)[1]
        array([0., 1., 0.], dtype=float16)
    """

    def __init__(self, folder: Union[str, Path]):
        self.folder = Path(folder)
        file = self.folder / DESCRIPTION
        if not os.path.isfile(file):
            raise StoreError(
                f'There is no teacher store in {str(folder)!r} (no {DESCRIPTION}). Write one with '
                f'`mmlgd store CONFIG --views 8 --out {shlex.quote(str(folder))}`.'
            )
        self.description = read_description(file, _READABLE)
        self.places = KeptPlaces.of(self.description)
        self._shards: dict[int, _Shard] = {}

    @classmethod
    def create(cls, folder: Union[str, Path], description: dict) -> 'TeacherStore':
        """Create an empty store.

        Args:
            folder (str | Path): Created if it does not exist.
            description (dict): With ``views``, ``images.count`` and ``teacher.embed_dim`` at least, and ``places`` for
                a store with places; plain JSON.

        Returns:
            TeacherStore: Without a shard.

        Raises:
            StoreError: The folder has shards, and no ``store.json`` that says what they are of.
        """
        shards = Path(folder) / 'shards'
        if any(shards.glob('*.crc32')):
            raise StoreError(
                f'{str(shards)!r} has shards of a teacher store whose {DESCRIPTION} is gone, so nobody knows which '
                f'teacher and images they are of. Put {DESCRIPTION} back, or remove the folder of shards.'
            )
        rows = description['views'] * description['images']['count']
        shard_rows = max(_FEWEST_ROWS, -(-rows // MOST_SHARDS))
        number = FORMAT_WITH_PLACES if description.get('places') else FORMAT
        text = json.dumps(dict(format=number, shard_rows=shard_rows, **description), indent=1)
        own_folder(shards)
        write_whole(Path(folder) / DESCRIPTION, (text + '\n').encode())
        return cls(folder)

    def origin(self) -> dict:
        """Check that the description says how the rows were made, not only where they are, and return it.

        Returns:
            dict: Teacher, images, pipeline, augmentation, probes and the rest, of the right types.

        Raises:
            StoreError: An entry is missing or damaged.
        """
        check_origin(self.description, self.folder / DESCRIPTION)
        return self.description

    @property
    def num_images(self) -> int:
        """int: N."""
        return self.description['images']['count']

    @property
    def num_views(self) -> int:
        """int: V."""
        return self.description['views']

    @property
    def embed_dim(self) -> int:
        """int: D."""
        return self.description['teacher']['embed_dim']

    @property
    def num_shards(self) -> int:
        """int: Shards of the finished store."""
        return -(-self.num_views * self.num_images // self.description['shard_rows'])

    def rows_of(self, shard: int) -> range:
        """Rows of a shard; the last shard may have fewer."""
        rows = self.description['shard_rows']
        return range(shard * rows, min((shard + 1) * rows, self.num_views * self.num_images))

    def missing(self, verify: bool = False) -> list[int]:
        """List the missing shards.

        Args:
            verify (bool): Read all existing shards, and list the damaged ones as well. Defaults to False.

        Returns:
            List[int]: Their numbers, in order.
        """
        there = [k for k in range(self.num_shards) if self._checksum_file(k).is_file()]
        if verify:
            there = [k for k in there if not self._fault(k)]
        return sorted(set(range(self.num_shards)) - set(there))

    def require_complete(self) -> None:
        """Refuse a store that is still being written, or whose writing was stopped.

        Raises:
            StoreError: Shards are missing; the message says how many.
        """
        if missing := self.missing():
            raise StoreError(
                f'The teacher store in {str(self.folder)!r} is not finished: {len(missing)} of {self.num_shards} '
                f'shards are missing. Run the same mmlgd store command again; it continues with the '
                f'missing ones.'
            )

    def bad_images(self) -> dict[int, str]:
        """List the images that were left out as bad, in at least one view.

        Returns:
            Dict[int, str]: What was wrong, by the number of the image.

        Raises:
            StoreError: The list of a shard is damaged.
        """
        found: dict[int, str] = {}
        for file in sorted((self.folder / 'shards').glob('*.bad')):
            try:
                told = json.loads(read_small(file))
                found.update({int(image): str(reason) for image, reason in told.items()})
            except (ValueError, AttributeError, RecursionError, OSError) as error:
                raise StoreError(
                    f'{file} is damaged: {sentence(error)} Remove the file {file.stem}.crc32 beside it, and run the '
                    f'same mmlgd store command again: it writes this shard again.'
                ) from error
        return dict(sorted(found.items()))

    def write(
        self,
        shard: int,
        embeddings: np.ndarray,
        bad: Optional[dict[int, str]] = None,
        name_of: Optional[Callable[[int], str]] = None,
        files: Optional[np.ndarray] = None,
        places: Optional[np.ndarray] = None,
    ) -> None:
        """Write one shard; a reader sees all of it or nothing.

        Args:
            shard (int): Its number.
            embeddings (np.ndarray): (rows, D), rows of unit length; the rows in ``bad`` are stored as zero.
            bad (Dict[int, str], optional): What was wrong with images that have no embedding here, by row.
            name_of (Callable, optional): Names the image and view of a row in an error. Defaults to None, which gives
                their numbers.
            files (np.ndarray, optional): (rows,), for each row the digest of its file, see
                :func:`~mmlgd.store.file_digest`. Defaults to None: later changes of files cannot be detected.
            places (np.ndarray, optional): (rows, h, w, D) float16, unit rows, or (rows, h, w, M) names, for a store
                with places. Defaults to None: the store has none.

        Raises:
            StoreError: A row or place is zero or not finite; the message names teacher, image and view.
            WriteError: The disk is full, or the folder not writable. Existing shards stay.
        """
        rows = np.ascontiguousarray(embeddings, dtype=np.float16)
        for kind, part, expected in zip(('rows', 'places'), (rows, places), self._shapes(shard)):
            found = None if part is None else part.shape
            if found != expected:
                raise StoreError(f'Shard {shard} takes {kind} of shape {expected}, got {found}.')
        wrong = ~usable_rows(torch.from_numpy(rows)).numpy()
        if places is not None:
            wrong |= ~self.places.usable(places)
        self._refuse_unusable(shard, np.flatnonzero(wrong), name_of)
        own_folder(self._file(shard).parent)
        with suppress(OSError):  # in a folder that cannot be written to, the writing below says so
            self._checksum_file(shard).unlink()  # a damaged shard that is written again is absent until then
        if bad:
            left_out = [row - self.rows_of(shard).start for row in bad]
            rows, places = (None if part is None else _without(part, left_out) for part in (rows, places))
            told = {row % self.num_images: reason for row, reason in bad.items()}
            write_whole(self._bad_file(shard), json.dumps(told, indent=1).encode())
        else:
            self._bad_file(shard).unlink(missing_ok=True)
        write_whole(self._file(shard), _npy(rows))
        if places is not None:
            write_whole(self._places_file(shard), _npy(places))
        if files is None:
            self._digests_file(shard).unlink(missing_ok=True)
        else:
            files = np.ascontiguousarray(files, dtype=_DIGEST)
            write_whole(self._digests_file(shard), files.tobytes())
        write_whole(self._checksum_file(shard), f'{_checksums(rows, files, places)}\n'.encode())

    def _refuse_unusable(self, shard: int, wrong: np.ndarray, name_of: Optional[Callable[[int], str]]) -> None:
        if not len(wrong):
            return
        first = self.rows_of(shard)[int(wrong[0])]
        view, image = divmod(first, self.num_images)
        name = name_of(first) if name_of else f'image {image}, view {view}'
        raise StoreError(
            f'The teacher {self.description["teacher"].get("id")} gives embeddings of a length other than 1 for '
            f'{len(wrong)} views of shard {shard}, first for {name}. Zero or NaN comes from broken weights, or from an '
            f'overflow of half precision: check the weights, or write the store in float32 or bfloat16.'
        )

    def __getitem__(self, row: int) -> np.ndarray:
        """Read one embedding.

        Args:
            row (int): ``view * images + image``.

        Returns:
            np.ndarray: (D,) float16, of about unit length.

        Raises:
            StoreError: Its shard is missing or damaged. The first read of a shard compares its checksum.
        """
        shard, place = self._opened(row)
        return np.asarray(shard.rows[place])  # a plain array: a memmap would keep the file open

    def places_of(self, row: int) -> np.ndarray:
        """Read the places of one view.

        Args:
            row (int): ``view * images + image``, of a store with places.

        Returns:
            np.ndarray: (h, w, D) float16, of about unit length; or (h, w, M) names and their probabilities.

        Raises:
            StoreError: As for the embedding.
        """
        shard, place = self._opened(row)
        return np.asarray(shard.places[place])

    def file_digest(self, row: int) -> Optional[int]:
        """Read the digest of the image file that an embedding was made from.

        Args:
            row (int): ``view * images + image``.

        Returns:
            int | None: See :func:`~mmlgd.store.file_digest`; None if the store has no digests.

        Raises:
            StoreError: As for the embedding.
        """
        shard, place = self._opened(row)
        return None if shard.files is None else int(shard.files[place])

    def _opened(self, row: int) -> tuple[_Shard, int]:
        """The shard of a row, and the row's place in it."""
        shard, place = divmod(row, self.description['shard_rows'])
        if shard not in self._shards and (fault := self._fault(shard)):
            raise StoreError(
                f'Shard {shard} of the teacher store in {str(self.folder)!r} {fault}. Run the mmlgd store command that '
                f'wrote the store with --verify: it writes this shard again.'
            )
        return self._shards[shard], place

    def _fault(self, shard: int) -> str:
        """Open a shard and compare it with its checksum; return what is wrong with it, empty if nothing is."""
        arrays = [self._file(shard), *([self._places_file(shard)] if self.places else [])]
        if not all(file.is_file() for file in (self._checksum_file(shard), *arrays)):
            return 'is missing'
        try:
            rows, places = [*map(_mapped, arrays), None][:2]
            files = None
            if self._digests_file(shard).exists():
                most = len(self.rows_of(shard)) * _DIGEST.itemsize
                files = np.frombuffer(read_small(self._digests_file(shard), most), _DIGEST)
            written = read_small(self._checksum_file(shard), _CHECKSUMS).decode()
        except Exception as error:  # damaged bytes can fail anywhere in the parser of the header
            return f'cannot be read ({error})'
        dtypes = np.float16, self.places and self.places.dtype
        for part, expected, dtype in zip((rows, places), self._shapes(shard), dtypes):
            if part is None:
                continue
            if part.shape != expected or part.dtype != dtype or not part.flags.c_contiguous:
                return f'has rows {part.dtype} {part.shape} instead of {np.dtype(dtype)} {expected}'
        if _checksums(rows, files, places) != written.strip() or (files is not None and len(files) != len(rows)):
            return 'differs from its checksum'
        self._shards[shard] = _Shard(rows, files, places)
        return ''

    def _shapes(self, shard: int) -> tuple[tuple[int, ...], Optional[tuple[int, ...]]]:
        """Shapes of a shard's embeddings and places."""
        count = len(self.rows_of(shard))
        return (count, self.embed_dim), (count, *self.places.shape) if self.places else None

    def __getstate__(self) -> dict:
        """Do not pickle open shards: a worker process maps its own."""
        return {**self.__dict__, '_shards': {}}

    def _file(self, shard: int) -> Path:
        return self.folder / 'shards' / f'{shard:05d}.npy'

    def _checksum_file(self, shard: int) -> Path:
        return self._file(shard).with_suffix('.crc32')

    def _digests_file(self, shard: int) -> Path:
        return self._file(shard).with_suffix('.files')

    def _bad_file(self, shard: int) -> Path:
        return self._file(shard).with_suffix('.bad')

    def _places_file(self, shard: int) -> Path:
        return self._file(shard).with_suffix('.places')


def _checksums(*parts: Optional[np.ndarray]) -> str:
    return '\n'.join(f'{zlib.crc32(part):08x}' for part in parts if part is not None)


def _npy(array: np.ndarray) -> memoryview:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getbuffer()


def _mapped(file: Path) -> np.ndarray:
    """Map an array; pickles are refused, and headers that need not be small."""
    with file.open('rb') as content:
        if np.lib.format.read_magic(content) != _NPY:
            raise ValueError('its header has another version of the format')
    return np.lib.format.open_memmap(file, mode='r')


def _without(rows: np.ndarray, left_out: list[int]) -> np.ndarray:
    rows = rows.copy()
    rows[left_out] = 0
    return rows
