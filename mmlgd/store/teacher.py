"""A teacher whose embeddings are kept in a store."""

import math
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmlgd.checkpoints.configs import buildable
from mmlgd.checkpoints.teacher_ids import teacher_to_build
from mmlgd.models.embedded import Embedded
from mmlgd.models.teachers.base import BaseTeacher
from mmlgd.models.teachers.known import build_known_teacher
from mmlgd.models.teachers.settings import names_scale, updated
from mmlgd.registry import MODELS
from mmlgd.utils.validation import checked_settings

from .description import StoreError
from .layout import TeacherStore


@MODELS.register_module(name=['CachedTeacher', 'StoredTeacher'])  # the latter in configs before November 2026
class CachedTeacher(BaseTeacher):
    """A teacher that reads its store, and uses the live teacher for embeddings that the store lacks.

    Embeddings of class names are read from the store. Embeddings of the training images come with the batch, see
    :class:`~mmlgd.store.StoredTeacherDataset`. The live teacher is built at its first use: for other names, or other
    images.

    Args:
        store (str | Path): Folder of a store that ``mmlgd store`` has written.
        teacher (dict, optional): The live teacher. With a ``type`` it is the whole config; without one it changes the
            config in the store. Defaults to None: the config in the store. A teacher in a file, a folder or a
            repository has to be named here.

    Attributes:
        live (BaseTeacher, optional): The live teacher. None until its first use.

    Raises:
        StoreError: There is no store, or a damaged one, or the store and the live teacher have other shares of looks.
    """

    @checked_settings
    def __init__(self, store: Union[str, Path], teacher: Optional[dict] = None):
        kept = TeacherStore(store)
        origin = kept.origin()
        self._told, self._places = origin['teacher'], kept.places
        super().__init__(*(self._told[key] for key in ('embed_dim', 'image_size', 'mean', 'std')))
        self.text_cache = str(store)
        self._named = teacher
        self._needs_text = True
        self.names_scale, self.own_temperature = self._names_scale(store), origin.get('own_temperature')
        self.live: Optional[BaseTeacher] = None

    @property
    def identity(self) -> str:
        """str: Of the teacher that wrote the store."""
        return self._told['id']

    def _names_scale(self, store: Union[str, Path]) -> float:
        """Read it from the settings, for the live teacher may never be built; those of the caller say the version."""
        told = self._told['config']
        named = teacher_to_build(told, self._named, only_read=True)
        kept, here = (1 - names_scale(updated(settings)) ** 2 for settings in (told, named))
        if not math.isclose(kept, here, abs_tol=1e-9):
            raise StoreError(
                f'The teacher store in {str(store)!r} was written with looks_share={kept:g}, and the teacher of this '
                f'config has {here:g}. Give the share of the store, leave the teacher inside out, or write another '
                f'store with mmlgd store.'
            )
        return names_scale(named)

    def prepare(self) -> None:
        """Build the live teacher.

        Raises:
            CheckpointError: The store names a place, and the caller does not name it.
            ConfigError: It is not the teacher that wrote the store.
        """
        if self.live is not None:
            return
        folder = self.text_cache
        told = buildable(self._told['config'], 'teacher', folder)
        print_log(f'The store in {folder!r} lacks some of the embeddings: building its teacher.', 'current')
        with torch.inference_mode(False):  # the first caller may be in inference mode, later ones may not
            live = build_known_teacher(
                teacher_to_build(told, self._named, folder), self.identity, f'The store in {folder!r} was written by'
            )
        if isinstance(live, CachedTeacher):
            raise StoreError(f'The store in {folder!r} names a store as its teacher. Name the teacher itself.')
        if not self._needs_text:
            live.free_text_tower()
        self.live, self.places_size = live.to(self.mean.device), live.places_size

    def encode(self, images: Tensor, places: bool = False) -> Embedded:
        """Use the live teacher: see :meth:`BaseTeacher.encode`."""
        self.prepare()
        self.live.bgr, self.live.scale, self.live.shift = self.bgr, self.scale, self.shift
        return self.live.encode(images, places)

    @property
    def has_places(self) -> bool:
        """bool: Whether the teacher has places; the live one is built for the answer if the store keeps none."""
        if self._places:
            return True
        self.prepare()
        return self.live.has_places

    def check_places(self, loss: nn.Module, text: nn.Module) -> None:
        """Refuse what the places in the store are not enough for; without such, ask the live teacher.

        Args:
            loss (nn.Module): The model's list of terms.
            text (nn.Module): Its textual bank.

        Raises:
            ConfigError: The store keeps names of places, and a term needs embeddings, or the run has other names or
                another temperature.
            TeacherError: The store keeps no places, and the live teacher has none.
        """
        if self._places:
            self._places.check(loss, text)
        else:
            super().check_places(loss, text)

    def count_tokens(self, prompts: list[str]) -> Optional[tuple[list[int], int]]:
        """Count the tokens of prompts, if the live teacher is there: see :meth:`BaseTeacher.count_tokens`."""
        return self.live.count_tokens(prompts) if self.live else None

    def free_text_tower(self) -> None:
        """Drop the live teacher, which was built for names. The next one is for images and has no text tower."""
        self.live, self._needs_text = None, False

    def _encode_text(self, prompts: list[str]) -> Tensor:
        self.prepare()
        return self.live.encode_text(prompts)
