"""A teacher of which only the embeddings are left."""

from pathlib import Path
from typing import Union

from torch import Tensor

from mmlgd.models.teachers.base import BaseTeacher
from mmlgd.registry import MODELS
from mmlgd.utils.validation import checked_settings

from .description import StoreError
from .layout import TeacherStore


@MODELS.register_module()
class StoredTeacher(BaseTeacher):
    """The teacher of a store: its identity, its joint space and its class-name embeddings, and no tower.

    Its picture embeddings come with the batch, see :class:`~mmlgd.store.StoredTeacherDataset`.

    Args:
        store (str | Path): Folder of a store that ``mmlgd store`` has written.

    Raises:
        StoreError: There is no store, or a damaged one.
    """

    @checked_settings
    def __init__(self, store: Union[str, Path]):
        told = TeacherStore(store).origin()['teacher']
        super().__init__(told['embed_dim'], told['image_size'], told['mean'], told['std'])
        self.store = str(store)
        self.text_cache = self.store
        self._identity = told['id']

    @property
    def identity(self) -> str:
        """str: Of the teacher that wrote the store."""
        return self._identity

    def free_text_tower(self) -> None:
        """There is none."""

    def _encode_image(self, images: Tensor) -> Tensor:
        raise RuntimeError(
            f'A stored teacher sees no pictures: its embeddings come with the batch, and this one has none. Read '
            f"pictures by dict(type='mmlgd.StoredTeacherDataset', store={self.store!r}, dataset=...), as "
            f'`mmlgd train CONFIG --store {self.store}` does. What its own teacher says of a picture is asked by '
            f'`tools/evaluate.py --teacher`.'
        )

    def _encode_text(self, prompts: list[str]) -> Tensor:
        raise StoreError(
            f'The store in {self.store!r} has no text embeddings of these class names with these prompt templates '
            f'(asked for {prompts[0]!r}). Add them: run the mmlgd store command that wrote it again with '
            f'this config; the picture embeddings stay.'
        )
