"""What a guided model needs of its run: class names, progress, and a place in checkpoints."""

from typing import Any, Optional

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.datasets import CIFAR10

from mmlgd.checkpoints.files import CheckpointError
from mmlgd.checkpoints.teacher_ids import same_teacher
from mmlgd.datasets.unwrapping import plain_datasets
from mmlgd.engine.checks.vocabulary_hook import require_folders_in_order
from mmlgd.errors import ConfigError, brief, shown
from mmlgd.models import BaseTeacher
from mmlgd.models.guided import Guided
from mmlgd.registry import HOOKS
from mmlgd.utils.models import plain_model
from mmlgd.utils.validation import require


@HOOKS.register_module()
class GuideHook(Hook):
    """Give a :class:`~mmlgd.Guided` model the class names of its training set, and keep its guide in checkpoints.

    The names are read before the first step, and those of the config are compared with them. The progress of the run is
    told in each step, so that the weight of the guide can fade. A checkpoint has the guide's neck and averages under
    ``guide``, the identity of the teacher under ``guide_teacher`` and what is compared with it under ``guide_feature``,
    beside the ``state_dict`` of the plain model, unless ``model.guide.keep=False``. For any other model the hook does
    nothing.

    Examples:
        >>> default_hooks = dict(guide=dict(type='mmlgd.GuideHook'))
    """

    def before_run(self, runner: Runner) -> None:
        """Name the classes, if the runner trains.

        Args:
            runner (Runner): The runner, after its loops are built.

        Raises:
            ConfigError: There are no names, or they do not agree with those of the config or with the class folders;
                the training set joins sets of different classes; or its images are RGB where the teacher expects BGR.
        """
        dataset = getattr(getattr(runner._train_loop, 'dataloader', None), 'dataset', None)
        if (model := _guided(runner)) is not None and dataset is not None:
            model.guide.name(_classes_of(dataset))
            for one in plain_datasets(dataset):
                where = f'The training set {getattr(one, "data_root", "")!r}'
                require_folders_in_order(one, model.guide.class_names or [], where)
            _check_colours(dataset, model.guide.teacher)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Tell the progress.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Not used.
            data_batch (Any): Not used.
        """
        if (model := _guided(runner)) is not None:
            model.guide.weighing.progress = runner.iter / runner.max_iters

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the guide to a checkpoint.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): Changed in place.
        """
        if (model := _guided(runner)) is not None and model.guide.keep:
            checkpoint['guide'] = model.guide.saved()
            checkpoint['guide_teacher'] = model.guide.teacher.identity
            checkpoint['guide_feature'] = model.guide.feature.label

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take the guide from a checkpoint from which the run resumes.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): As it was read.

        Raises:
            CheckpointError: It has no guide, or another one, or that of another teacher or feature.
        """
        if (model := _guided(runner)) is None or not runner._resume:
            return
        source = runner._load_from or 'The checkpoint'
        if not isinstance(checkpoint.get('guide'), dict):
            raise CheckpointError(
                f'Cannot resume: {source} has no guide, whose neck would start anew. It is of a plain run, or of one '
                f'with model.guide.keep=False. To start a new run from its weights: `--cfg-options load_from={source}` '
                f'instead of --resume.'
            )
        before, now = checkpoint.get('guide_teacher'), model.guide.teacher.identity
        if isinstance(before, str) and not same_teacher(before, now):  # another space of as many dimensions would fit
            raise CheckpointError(
                f'Cannot resume: {source} was guided by the teacher {shown(before)}, and this run has {now}. Give the '
                f'same teacher, or start a new run from its weights: `--cfg-options load_from={source}` instead of '
                f'--resume.'
            )
        before, now = checkpoint.get('guide_feature'), model.guide.feature.label
        if isinstance(before, str) and before != now:  # another one of as many channels would fit
            raise CheckpointError(
                f'Cannot resume: the guide of {source} compares {shown(before)}, and this run {now}. Give the same '
                f'model.guide.feature and level, or start a new run from its weights: `--cfg-options '
                f'load_from={source}` instead of --resume.'
            )
        model.guide.restore(checkpoint['guide'], str(source))


def _classes_of(dataset: Any) -> Any:
    """Read the classes in the METAINFO, of which mmdetection's sets that are joined have one each."""
    found = getattr(dataset, 'metainfo', None) or {}
    classes, *others = [(one or {}).get('classes') for one in (found if isinstance(found, list) else [found])]
    if others := [other for other in others if other != classes]:
        raise ConfigError(
            f'The training set joins sets of different classes, {brief(classes)} and {brief(others[0])}: it is unknown '
            f'which names its labels have. Give all the same metainfo=dict(classes=(...)).'
        )
    return classes


def _check_colours(dataset: Any, teacher: BaseTeacher) -> None:
    """Refuse the one data set whose images are not loaded as BGR, which the teacher would see with wrong colours."""
    found = next((part for part in plain_datasets(dataset) if isinstance(part, CIFAR10)), None)
    require(
        found is None or not teacher.bgr,
        f'The images of {type(found).__name__} are RGB, and data_preprocessor has to_rgb=False: the teacher would '
        f'take them for BGR, as images are loaded elsewhere. Begin the pipelines of training and of evaluation with '
        f"dict(type='NumpyToPIL'), dict(type='PILToNumpy', to_bgr=True), and set data_preprocessor.to_rgb=True: the "
        f'model sees the same.',
    )


def _guided(runner: Runner) -> Optional[Guided]:
    model = plain_model(runner)
    return model if isinstance(model, Guided) else None
