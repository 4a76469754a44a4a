"""The statistics of a looks teacher: of the checkpoint or store that a run goes on with, or of its training images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Callable, Union

from mmengine import dist
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmlgd.checkpoints.configs import model_config
from mmlgd.checkpoints.files import CheckpointError, read_checkpoint
from mmlgd.datasets.collate import default_collate
from mmlgd.datasets.data_errors import data_errors
from mmlgd.models import BaseTeacher
from mmlgd.models.teachers.settings import build_teacher, lacks_statistics, with_statistics, with_statistics_of
from mmlgd.models.zero_shot import IMAGENET_RGB
from mmlgd.registry import DATASETS
from mmlgd.store import StoreError, TeacherStore
from mmlgd.utils.building import build_part
from mmlgd.utils.configs import kind_of
from mmlgd.utils.distributed import fail_together
from mmlgd.utils.seeds import seeded
from mmlgd.utils.spread import spread

from .ranks import join_ranks

IMAGES = 256  # training images; their standard deviations are right to within 5 %
_BATCH = 16


def take_statistics(cfg: Config, source: Union[str, Path, None]) -> None:
    """Take the statistics of a checkpoint or a store over into a config that lacks them, in place.

    A teacher behind a store takes those of its own store.

    Args:
        cfg (Config): Of any model.
        source (str | Path, optional): A checkpoint, or the folder of a store. None and a checkpoint without a config
            change nothing.

    Raises:
        StoreError: The store is damaged, or the teacher behind it has other looks.
    """
    if not _lacks(cfg):
        return
    place = _place(cfg)
    store = place.teacher.get('store')
    source = store or source
    if not source:
        return
    if Path(source).is_dir():
        told = TeacherStore(source).description['teacher'].get('config')
    else:
        try:
            told = _place(model_config(read_checkpoint(source), source)).get('teacher')
        except CheckpointError:  # weights of another library
            return
    if isinstance(told, dict):
        place.teacher = with_statistics_of(place.teacher, told)
    if store and _lacks(cfg):
        raise StoreError(
            f'The teacher store in {str(store)!r} was written with other looks than those of model.teacher.teacher. '
            f'Leave the teacher inside out, or give it the looks of the store.'
        )


def settle_statistics(cfg: Config) -> None:
    """Measure the statistics of a looks teacher on training images, in place; a config that has them stays as it is.

    256 images, spread evenly over the data set, are augmented as in training, with a seed of their own. The main
    process measures; the others get its result.

    Args:
        cfg (Config): Of training.

    Raises:
        TeacherError: The teacher cannot be built, there are fewer than 16 images, or their features are not usable.
        OtherRankError: The main process failed.
    """
    if not _lacks(cfg):
        return
    found = [None]
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmpretrain'):
        join_ranks(cfg)
        place = _place(cfg)
        teacher = build_teacher(place.teacher, 'model.teacher')  # on all ranks: ConSE's names are sent to all
        with fail_together():
            if dist.is_main_process():
                found = [_measured(cfg, teacher)]
        dist.broadcast_object_list(found)
    place.teacher = with_statistics(place.teacher, found[0])


def _place(cfg: Union[Config, ConfigDict]) -> ConfigDict:
    """Find the settings that have the teacher: the model's, or those of its guide."""
    model = cfg.get('model') or ConfigDict()
    place = model.get('guide') if kind_of(model) == 'Guided' else model
    return place if isinstance(place, dict) else ConfigDict()  # the model itself will say what it lacks


def _lacks(cfg: Config) -> bool:
    teacher = _place(cfg).get('teacher')
    return isinstance(teacher, dict) and lacks_statistics(teacher)


def _measured(cfg: Config, teacher: BaseTeacher) -> str:
    is_guide = kind_of(cfg.model) == 'Guided'
    pixels = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    pixels = dict(pixels or dict(IMAGENET_RGB, type='mmlgd.PretrainDataPreprocessor'))
    pixels.pop('batch_augments', None)  # some read the step of a run, which has not begun
    # What a config without a type means: mmpretrain's classifiers and its pre-training have one of their own.
    kind = 'mmpretrain.ClsDataPreprocessor' if is_guide else 'mmpretrain.SelfSupDataPreprocessor'
    preprocess = build_part(pixels, 'model.data_preprocessor', kind).to(get_device())
    teacher.free_text_tower()
    teacher.expect_pixels_of(preprocess)
    teacher.to(get_device())
    with data_errors('train_dataloader', cfg.train_dataloader.dataset):
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
    rows = spread(range(len(dataset)), IMAGES)
    print_log(f'Measuring the statistics of the looks on {len(rows)} training images.', 'current')
    size, collate = (
        (1, pseudo_collate) if is_guide else (_BATCH, default_collate)
    )  # images of a detector differ in size
    with seeded(0):
        return teacher.measured(_batches(dataset, rows, preprocess, size, collate))


def _batches(dataset, rows: list[int], preprocess: nn.Module, size: int, collate: Callable) -> Iterator[Tensor]:
    for start in range(0, len(rows), size):
        samples = [dataset[row] for row in rows[start : start + size]]
        yield preprocess(collate(samples), training=True)['inputs']
