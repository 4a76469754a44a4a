"""A folder of images, some of which may be bad."""

import os
import pickle
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

import numpy as np
from mmengine.logging import MMLogger
from mmpretrain.datasets import CustomDataset

from mmlgd.errors import ConfigError, MissingFileError, brief, shown
from mmlgd.registry import DATASETS
from mmlgd.text import folders_in_order, in_order
from mmlgd.utils.paths import IMAGE_SUFFIXES
from mmlgd.utils.validation import listed

from .bad_images import NOT_IN_EVALUATION, BadImages
from .folder import sorted_images
from .loading import draws_others
from .shards import are_shards
from .views import view_pipeline


@DATASETS.register_module()
class Images(CustomDataset):
    """mmpretrain's ``CustomDataset``, with a policy for images that cannot be used.

    Without ``ann_file``, the images are those that :func:`~mmlgd.datasets.folder.sorted_images` lists.

    Args:
        bad_images (str): ``'raise'`` stops at the first bad image; ``'skip'`` leaves up to ``max_bad_images`` out,
            and replaces each by another image, always the same one. Defaults to ``'raise'``.
        max_bad_images (int | float): How many may be left out: a number, or a share between 0 and 1. A share allows
            at least one image. At least one image must remain. Defaults to 0.01.
        extensions (Sequence[str]): Suffixes of the files that are images. Defaults to
            :data:`~mmlgd.utils.paths.IMAGE_SUFFIXES`.
        view (str, optional): The view of each image: ``'moco-v2'``, ``'moco-v2-crop'`` or ``'crop-flip'``, see
            :func:`~mmlgd.datasets.view_pipeline`. Defaults to None: ``pipeline`` decides.
        size (int): Side of the view in pixels. Defaults to 224.
        crop (Sequence[float]): Smallest and largest share of the area that a view shows. Defaults to (0.2, 1.0).
        pipeline (Sequence): Transforms, instead of ``view``, ``size`` and ``crop``. Defaults to none.
        **kwargs: Of ``mmpretrain.CustomDataset``. Begin the pipeline with ``mmlgd.LoadImageFromFile``: mmcv's own
            transform stops at a file that is not an image, whatever the policy, and may accept half an image.

    Raises:
        ValueError: The policy is unknown, or skips in evaluation (``test_mode=True``); or a transform of the
            pipeline has a policy of its own.
        MissingFileError: There is no such folder, or no image in it.
        UnreadableFolderError: A part of it may not be read.

    Examples:
        >>> dataset = dict(type='mmlgd.Images', data_root='images', with_label=False, bad_images='skip')
    """

    def __init__(
        self,
        *args,
        bad_images: str = 'raise',
        max_bad_images: Union[int, float] = 0.01,
        extensions: Sequence[str] = IMAGE_SUFFIXES,
        view: Optional[str] = None,
        size: int = 224,
        crop: Sequence[float] = (0.2, 1.0),
        pipeline: Sequence = (),
        **kwargs,
    ):
        self.bad_images = BadImages(bad_images, max_bad_images)
        self._met: dict[str, str] = {}
        if view is not None and not pipeline:
            pipeline = view_pipeline(view, size, crop)
        super().__init__(*args, extensions=tuple(listed(extensions)), pipeline=pipeline, **kwargs)
        if self.test_mode and bad_images == 'skip':
            raise ConfigError(
                f"bad_images='skip' with test_mode=True: {NOT_IN_EVALUATION} Evaluate with bad_images='raise'."
            )
        if draws_others(self):  # they would be neither counted nor the same each time
            raise ConfigError(
                "mmlgd.LoadImageFromFile has bad_images='skip' in the pipeline of a data set with a policy of its own. "
                "Leave bad_images out of the transform, and give it to the data set: dataset.bad_images='skip'."
            )

    def __getitem__(self, idx: int) -> dict:
        """Load an image, or its replacement if it is bad and the policy is ``'skip'``.

        Args:
            idx (int): The image.

        Returns:
            dict: What the pipeline packs.
        """
        return self.bad_images.first_good(self.load, idx, len(self), self._met)

    def load(self, idx: int) -> dict:
        """Load exactly this image.

        Args:
            idx (int): The image.

        Returns:
            dict: What the pipeline packs.

        Raises:
            BadImageError: The image is bad.
        """
        return super().__getitem__(idx)

    def _get_unserialized_subset(self, indices: Union[int, Sequence[int]]) -> list:
        """Choose the images of the setting ``indices``."""
        try:
            chosen = super()._get_unserialized_subset(indices)
        except (IndexError, TypeError):
            chosen = []
        if not chosen:
            count = len(self.data_list)
            raise ConfigError(
                f'indices={brief(indices)} are no images of {shown(self.img_prefix)}, which has {count}. Give how many '
                f'of the first ones are read, or a list of whole numbers from 0 to {count - 1}.'
            )
        return chosen

    def _serialize_data(self) -> tuple[np.ndarray, np.ndarray]:
        """Write the list as mmengine does, and let go of each entry: both in full take twice the memory of a start."""
        written, ends = bytearray(), array('q')
        self.data_list.reverse()
        while self.data_list:
            written += pickle.dumps(self.data_list.pop(), protocol=4)
            ends.append(len(written))
        return np.frombuffer(written, np.uint8), np.frombuffer(ends, np.int64)

    def _find_samples(self) -> list:
        """List the images; with labels, only those in class folders.

        Labels follow the order of the folders' names, or that of ``classes`` where these are the folders with images.
        """
        if '://' in self.img_prefix:
            return super()._find_samples()
        if are_shards(self.img_prefix.rstrip('/')):
            raise ConfigError(
                f"{shown(self.data_root)} are tar shards. Give the data set type='mmlgd.ImageShards', for example by "
                f'--cfg-options train_dataloader.dataset.type=mmlgd.ImageShards.'
            )
        images, note = sorted_images(self.img_prefix, self.extensions)
        if note:
            MMLogger.get_current_instance().warning(note)
        return self._labelled(images) if self.with_label else images

    def _labelled(self, images: list[str]) -> list[tuple[str, int]]:
        places = (place for place in Path(self.img_prefix).iterdir() if place.is_dir())
        classes = in_order([place.name for place in places if not place.name.startswith('.')])
        parts = [(file, file.split(os.sep)) for file in images]
        filled = {part[0] for _, part in parts if len(part) > 1}
        empty = sorted({*classes} - filled)
        if self.CLASSES is None:
            self._metainfo['classes'] = tuple(classes)
        elif {*self.CLASSES} == filled:  # an empty folder is no class then, and moves no label
            classes = list(self.CLASSES)
        elif len(self.CLASSES) == len(classes):
            classes = folders_in_order(classes, self.CLASSES, shown(self.img_prefix))
        else:
            raise ConfigError(
                f'{shown(self.img_prefix)} has {len(classes)} class folders, but there are {len(self.CLASSES)} class '
                f'names. Give one name for each folder: the names of the folders, or others in their sorted order.'
            )
        self.folder_to_idx = {name: label for label, name in enumerate(classes)}
        labelled = [(file, self.folder_to_idx[part[0]]) for file, part in parts if len(part) > 1]
        if not labelled:
            raise MissingFileError(
                f'No image of {shown(self.img_prefix)} lies in a sub-folder, whose name would be its class. Move the '
                f'images of each class into a folder, or read them without labels (with_label=False).'
            )
        if empty:
            names = ', '.join(map(shown, empty))
            MMLogger.get_current_instance().warning(
                f'No image in these class folders of {shown(self.img_prefix)}: {names}.'
            )
        return labelled
