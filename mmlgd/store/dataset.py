"""Images with the teacher's embeddings of them: training without a teacher."""

from collections.abc import Iterator
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.dataset import DefaultSampler

from mmlgd.datasets.bad_images import BadImageError
from mmlgd.datasets.views import pipeline_of
from mmlgd.registry import DATA_SAMPLERS, DATASETS
from mmlgd.utils.numerics import usable_rows

from .description import StoreError
from .fingerprint import difference, difference_of_views, plain, survey_images
from .layout import TeacherStore
from .views import SeededViews


@DATASETS.register_module()
class StoredTeacherDataset(SeededViews):
    """Replay the views of a teacher store, each with the teacher's embedding of it.

    An image that was bad when the store was written has no embedding. The data set leaves it out, even if the image has
    been repaired since. It also leaves out images that are bad now, and images whose files have changed since the store
    was written. A replacement comes with its own embedding.

    Args:
        store (str | Path): Folder of a store that ``mmlgd store`` has written.
        dataset (dict): The images and the pipeline that the store was written from.
        augmentation (dict, optional): The augmentation of the model's data preprocessor, which finishes the views.
            Defaults to None: there is none.
        places (bool): Give the teacher's places of each view, too. Defaults to False.

    Raises:
        StoreError: The store is unfinished or damaged, or was written from other images, another pipeline or
            augmentation, or with libraries that give other pixels; the message names the difference. Or it has no
            places.
    """

    def __init__(
        self, store: Union[str, Path], dataset: dict, augmentation: Optional[dict] = None, places: bool = False
    ):
        self.store = TeacherStore(store)
        self.store.require_complete()
        self._kept = self.store.places if places else None
        if places and not self._kept:
            raise StoreError(
                f'The teacher store in {str(store)!r} has no places. Write one with mmlgd store --places own, or leave '
                f'places out of this data set.'
            )
        self._left_out = self.store.bad_images()
        told = self.store.origin()
        super().__init__(dataset, told['views'], told['seed'], told['noise'])
        found = difference(
            dict(pipeline=told['pipeline'], images=told['images'], augmentation=told['augmentation']),
            dict(
                pipeline=plain(pipeline_of(dataset)),
                images=survey_images(self.images),
                augmentation=plain(augmentation),
            ),
            'dataset',
        )
        # Format 1 also probed replacements of bad images. Later formats probe only good images: comparing these probes
        # needs no embedding, so it need not read whole shards.
        first = told['format'] == 1
        views = self if first else SeededViews(self.images, self.num_views, self.seed, self.noise)
        if found := found or difference_of_views(told, views, augmentation):
            raise StoreError(
                f'The teacher store in {str(store)!r} does not fit this data set: {found}. Use the images, pipeline '
                f'and libraries that it was written with, or write another store with mmlgd store.'
            )

    def replay(self, view: int, image: int) -> dict:
        """Replay exactly this view.

        Args:
            view (int): In 0..V-1.
            image (int): In 0..N-1.

        Returns:
            dict: What the pipeline packs, and ``teacher_embeddings`` (D,) float16, of unit length; with ``places``,
            ``teacher_places`` (h, w, D) likewise, or (h, w, M, 2) names.

        Raises:
            BadImageError: The image is bad, was bad when the store was written, or has changed since.
            StoreError: The stored embedding, or one of a place, is zero or not finite; the message names image and
                teacher.
        """
        row = view * self.num_images + image
        embedding = torch.from_numpy(self.store[row].copy())
        path = self.images.get_data_info(image)['img_path']
        if image in self._left_out and not embedding.any():
            reason = self._left_out[image]
            raise BadImageError.of(path, f'it was left out when the teacher store was written ({reason})')
        places = None if self._kept is None else self.store.places_of(row)
        usable = usable_rows(embedding[None]).all() and (places is None or self._kept.usable(places[None]).all())
        if not usable:
            raise StoreError(
                f'The teacher store in {str(self.store.folder)!r} has a zero, NaN or Inf embedding for '
                f'{self.name_of(row)}, by the teacher {self.store.description["teacher"].get("id")}. Write the store '
                f'again into an empty folder with mmlgd store, which refuses such embeddings.'
            )
        sample = super().replay(view, image)
        if self.store.file_digest(row) not in (None, sample['data_samples'].file_digest):
            raise BadImageError.of(
                path,
                'its file has changed since the teacher store was written, and the stored embedding is of the old '
                'image: put the old file back, or write another store',
            )
        sample['teacher_embeddings'] = embedding
        if places is not None:
            sample['teacher_places'] = self._kept.tensor_of(places)
        return sample


@DATA_SAMPLERS.register_module()
class ViewSampler(DefaultSampler):
    """One view of each image an epoch: epoch e has view e mod V of all of them.

    Args:
        dataset (SeededViews): N images, V views.
        shuffle (bool): Defaults to True.
        seed (int, optional): Seed of the order, equal on all ranks. Defaults to None: the seed of mmengine.
        round_up (bool): See mmengine's ``DefaultSampler``. Defaults to True.
    """

    def __init__(self, dataset: SeededViews, shuffle: bool = True, seed: Optional[int] = None, round_up: bool = True):
        super().__init__(range(dataset.num_images), shuffle, seed, round_up)
        self.num_views = dataset.num_views

    def __iter__(self) -> Iterator[int]:
        """Iterate over this rank's items of the epoch."""
        offset = self.epoch % self.num_views * len(self.dataset)
        return (offset + image for image in super().__iter__())
