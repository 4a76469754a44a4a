"""Augmented views that can be replayed: three numbers seed every random choice."""

from functools import partial
from typing import Union

import torch
from torch.utils.data import Dataset

from mmlgd.datasets.bad_images import BadImages
from mmlgd.datasets.data_errors import data_errors
from mmlgd.datasets.loading import draws_others
from mmlgd.errors import shown
from mmlgd.registry import DATASETS
from mmlgd.utils.seeds import seeded
from mmlgd.utils.validation import require, whole

from .fingerprint import file_digest

MOST_VIEWS = 100_000  # views of each image; a run uses one in each epoch


@DATASETS.register_module()
class SeededViews(Dataset):
    """V augmented views of each image, the same at every replay.

    Item ``view * images + image`` is one view of one image. If the image is bad, and the policy of ``dataset``
    leaves it out, the item is the same view of another image, equal to the other image's own item.

    Args:
        dataset (dict | Dataset): Images and their pipeline, see :class:`~mmlgd.datasets.Images` for the policy.
        views (int): V > 0, and 100,000 at most.
        seed (int): Another seed gives other views. Defaults to 0.
        noise (int): Number of uniform variates in ``augmentation_noise`` of each view, for the batched augmentation of
            the data preprocessor. Defaults to 0: none.

    Raises:
        NumberError: ``views`` is out of its range.
        ConfigError: The pipeline draws other images for bad ones, unknown to the data set; or the data set cannot be
            built. If a file or a package is missing, MissingFileError or MissingPackageError.
    """

    def __init__(self, dataset: Union[dict, Dataset], views: int, seed: int = 0, noise: int = 0):
        views = whole('views of each image', 1, MOST_VIEWS)(views)
        with data_errors('train_dataloader', dataset):
            self.images = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        require(
            not draws_others(self.images),
            "mmlgd.LoadImageFromFile has bad_images='skip', and a view of a bad image would be one of another image. "
            "Leave bad_images out of the transform, and give the data set type='mmlgd.Images' and bad_images='skip'.",
        )
        self.num_views = views
        self.seed = seed
        self.noise = noise
        self.bad_images = getattr(self.images, 'bad_images', BadImages('raise'))
        self._load = getattr(self.images, 'load', self.images.__getitem__)
        self._met: dict[str, str] = {}

    @property
    def num_images(self) -> int:
        """int: N."""
        return len(self.images)

    @property
    def metainfo(self) -> dict:
        """dict: Of the images' data set."""
        return self.images.metainfo

    def name_of(self, index: int) -> str:
        """Name the view of an item, for errors.

        Args:
            index (int): ``view * images + image``.

        Returns:
            str: View and image, by its path where the data set knows it.
        """
        view, image = divmod(index, self.num_images)
        path = self._info_of(image).get('img_path')
        return f'image {image}{f" ({shown(path)})" if path else ""}, view {view}'

    def _info_of(self, image: int) -> dict:
        return self.images.get_data_info(image) if hasattr(self.images, 'get_data_info') else {}

    def full_init(self) -> None:
        """Make the data set of images read its annotations; mmengine calls this before training."""
        self.images.full_init()

    def __len__(self) -> int:
        """N * V."""
        return self.num_images * self.num_views

    def __getitem__(self, index: int) -> dict:
        """Replay one view of an image, or of its replacement.

        Args:
            index (int): ``view * images + image``.

        Returns:
            dict: Of :meth:`replay`.
        """
        view, image = divmod(index, self.num_images)
        return self.bad_images.first_good(partial(self.replay, view), image, self.num_images, self._met)

    def replay(self, view: int, image: int) -> dict:
        """Replay exactly this view.

        Args:
            view (int): In 0..V-1.
            image (int): In 0..N-1.

        Returns:
            dict: The output of the pipeline, with ``augmentation_noise`` (M,) float32 if ``noise`` is set. Its data
            sample has ``file_digest``, the digest of the image's file.

        Raises:
            BadImageError: The image is bad.
        """
        with seeded(self.seed, view, image):
            sample = self._load(image)
            if self.noise:
                sample['augmentation_noise'] = torch.rand(self.noise)
        info = self._info_of(image)
        if path := info.get('img_path'):
            sample['data_samples'].set_metainfo(dict(file_digest=file_digest(path, info.get('member'))))
        return sample
