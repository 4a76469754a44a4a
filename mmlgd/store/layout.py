"""A teacher store on disk: one description, and shards of float16 rows that are whole or not there."""

import json
import os
import zlib
from pathlib import Path
from typing import Optional, Union

import numpy as np

FORMAT = 1
DESCRIPTION = 'store.json'
# Few enough to keep all of them open, many enough to share the work and to lose little of it.
_MOST_SHARDS = 512
_FEWEST_ROWS = 1024


class StoreError(ValueError):
    """A teacher store that is not there, not finished, damaged, or of something else."""


class TeacherStore:
    """A teacher store on disk.

    Row ``view * pictures + picture`` is the teacher's embedding of one view of one picture. ::

        store.json          what the rows are: teacher, pictures, augmentation, probes
        shards/00000.npy    float16 (rows, D), in order; memory-mapped
        shards/00000.crc32  its checksum, written when the shard is whole
        shards/00000.bad    if some of its pictures were bad: their numbers and what was wrong; their rows are zero
        text/*.safetensors  embeddings of the class names

    Args:
        folder (str | Path): With a ``store.json`` in it, see :meth:`create`.

    Attributes:
        description (dict): The content of ``store.json``.

    Raises:
        StoreError: There is no store, or one of another format.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> store = TeacherStore.create(folder, dict(views=1, pictures=dict(count=2), teacher=dict(embed_dim=3)))
        >>> store.write(0, np.eye(3)[:2])
        >>> TeacherStore(folder)[1]
        array([0., 1., 0.], dtype=float16)
    """

    def __init__(self, folder: Union[str, Path]):
        self.folder = Path(folder)
        file = self.folder / DESCRIPTION
        if not file.is_file():
            raise StoreError(
                f'There is no teacher store in {str(folder)!r} (no {DESCRIPTION}). Write one with '
                f'`python tools/store_teacher.py CONFIG --views 8 --out {folder}`.'
            )
        try:
            self.description = json.loads(file.read_text(encoding='utf-8'))
            found = self.description.get('format')
        except (ValueError, AttributeError) as error:
            raise StoreError(f'{file} is damaged: {error}. Write the store anew into an empty folder.') from error
        if found != FORMAT:
            raise StoreError(
                f'The store in {str(folder)!r} has format {found!r}, this version of mmlgd reads format {FORMAT}. '
                f'Write it anew into an empty folder.'
            )
        self._shards: dict[int, np.ndarray] = {}

    @classmethod
    def create(cls, folder: Union[str, Path], description: dict) -> 'TeacherStore':
        """Lay out an empty store.

        Args:
            folder (str | Path): Made if it is not there.
            description (dict): With ``views``, ``pictures.count`` and ``teacher.embed_dim`` at least; plain JSON.

        Returns:
            TeacherStore: Without a shard.
        """
        rows = description['views'] * description['pictures']['count']
        shard_rows = max(_FEWEST_ROWS, -(-rows // _MOST_SHARDS))
        text = json.dumps(dict(format=FORMAT, shard_rows=shard_rows, **description), indent=1)
        (Path(folder) / 'shards').mkdir(parents=True, exist_ok=True)
        _write_whole(Path(folder) / DESCRIPTION, (text + '\n').encode())
        return cls(folder)

    @property
    def num_pictures(self) -> int:
        """int: N."""
        return self.description['pictures']['count']

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
        """int: All there will be when the store is finished."""
        return -(-self.num_views * self.num_pictures // self.description['shard_rows'])

    def rows_of(self, shard: int) -> range:
        """Rows of a shard, of which the last may have fewer."""
        rows = self.description['shard_rows']
        return range(shard * rows, min((shard + 1) * rows, self.num_views * self.num_pictures))

    def missing(self, verify: bool = False) -> list[int]:
        """List the shards that are not there.

        Args:
            verify (bool): Read all others and count the damaged ones too. Defaults to False.

        Returns:
            List[int]: Their numbers, in order.
        """
        there = [k for k in range(self.num_shards) if self._checksum_file(k).is_file()]
        if verify:
            there = [k for k in there if not self._fault(k)]
        return sorted(set(range(self.num_shards)) - set(there))

    def require_complete(self) -> None:
        """Refuse a store that is still being written, or whose writer was stopped.

        Raises:
            StoreError: Shards are missing; the message says how many.
        """
        if missing := self.missing():
            raise StoreError(
                f'The teacher store in {str(self.folder)!r} is not finished: {len(missing)} of {self.num_shards} '
                f'shards are missing. Run the tools/store_teacher.py command that wrote it again; it goes on where '
                f'it was.'
            )

    def bad_pictures(self) -> dict[int, str]:
        """Tell which pictures were left out as bad, in some view at least.

        Returns:
            Dict[int, str]: What was wrong, by the number of the picture.

        Raises:
            StoreError: The list of a shard is damaged.
        """
        found: dict[str, str] = {}
        for file in sorted((self.folder / 'shards').glob('*.bad')):
            try:
                found.update(json.loads(file.read_text(encoding='utf-8')))
            except ValueError as error:
                raise StoreError(
                    f'{file} is damaged: {error}. Remove the file {file.stem}.crc32 beside it, and run the '
                    f'tools/store_teacher.py command that wrote the store again: it writes this shard anew.'
                ) from error
        return {int(picture): reason for picture, reason in sorted(found.items(), key=lambda item: int(item[0]))}

    def write(self, shard: int, embeddings: np.ndarray, bad: Optional[dict[int, str]] = None) -> None:
        """Write one shard; a reader sees all of it or nothing.

        Args:
            shard (int): Its number.
            embeddings (np.ndarray): (rows, D), rows of unit length; what stands in the rows of ``bad`` is not kept.
            bad (Dict[int, str], optional): What was wrong with pictures that have no embedding here, by row.

        Raises:
            StoreError: A row is zero or not finite; the message names its picture and view.
        """
        rows = np.ascontiguousarray(embeddings, dtype=np.float16)
        expected = (len(self.rows_of(shard)), self.embed_dim)
        if rows.shape != expected:
            raise StoreError(f'Shard {shard} has rows of shape {expected}, got {rows.shape}.')
        norms = np.linalg.norm(rows.astype(np.float32), axis=1)
        wrong = np.flatnonzero(~((norms > 0.9) & (norms < 1.1)))  # NaN is in neither
        if len(wrong):
            view, picture = divmod(self.rows_of(shard)[int(wrong[0])], self.num_pictures)
            raise StoreError(
                f'The teacher gives {len(wrong)} embeddings of shard {shard} a length other than 1, the first '
                f'{norms[wrong[0]]} for picture {picture}, view {view}. Zero or NaN comes from broken weights, or from '
                f'half precision that overflows: write the store in float32 or bfloat16.'
            )
        self._file(shard).parent.mkdir(exist_ok=True)
        if bad:
            rows = rows.copy()
            rows[[row - self.rows_of(shard).start for row in bad]] = 0
            told = {row % self.num_pictures: reason for row, reason in bad.items()}
            _write_whole(self._bad_file(shard), json.dumps(told, indent=1).encode())
        else:
            self._bad_file(shard).unlink(missing_ok=True)
        with _part(self._file(shard)).open('wb') as file:
            np.save(file, rows, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(_part(self._file(shard)), self._file(shard))
        _write_whole(self._checksum_file(shard), f'{zlib.crc32(rows):08x}\n'.encode())

    def __getitem__(self, row: int) -> np.ndarray:
        """Read one embedding.

        Args:
            row (int): ``view * pictures + picture``.

        Returns:
            np.ndarray: (D,) float16, of about unit length.

        Raises:
            StoreError: Its shard is missing or damaged; a shard's checksum is compared when it is first read.
        """
        shard, place = divmod(row, self.description['shard_rows'])
        if shard not in self._shards and (fault := self._fault(shard)):
            raise StoreError(
                f'Shard {shard} of the teacher store in {str(self.folder)!r} {fault}. Run the '
                f'tools/store_teacher.py command that wrote the store with --verify: it writes this shard anew.'
            )
        return np.asarray(self._shards[shard][place])  # plain: a memmap would tell the file everywhere

    def _fault(self, shard: int) -> str:
        """Open a shard and compare it with its checksum; say what is wrong with it, or nothing."""
        if not self._checksum_file(shard).is_file() or not self._file(shard).is_file():
            return 'is missing'
        try:
            rows = np.load(self._file(shard), mmap_mode='r', allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            return f'cannot be read ({error})'
        expected = (len(self.rows_of(shard)), self.embed_dim)
        if rows.shape != expected or rows.dtype != np.float16:
            return f'has rows {rows.dtype} {rows.shape} instead of float16 {expected}'
        if f'{zlib.crc32(rows):08x}' != self._checksum_file(shard).read_text().strip():
            return 'differs from its checksum'
        self._shards[shard] = rows
        return ''

    def __getstate__(self) -> dict:
        """Leave open shards behind: a worker process maps its own."""
        return {**self.__dict__, '_shards': {}}

    def _file(self, shard: int) -> Path:
        return self.folder / 'shards' / f'{shard:05d}.npy'

    def _checksum_file(self, shard: int) -> Path:
        return self._file(shard).with_suffix('.crc32')

    def _bad_file(self, shard: int) -> Path:
        return self._file(shard).with_suffix('.bad')


def _part(file: Path) -> Path:
    return file.with_name(file.name + '.part')


def _write_whole(file: Path, content: bytes) -> None:
    """Write a file that is never seen half."""
    with _part(file).open('wb') as part:
        part.write(content)
        part.flush()
        os.fsync(part.fileno())
    os.replace(_part(file), file)
