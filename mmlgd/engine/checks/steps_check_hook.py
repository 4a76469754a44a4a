"""A check that all ranks take the same steps, and that a resumed run takes the same steps as before."""

from typing import Any

from mmengine.dist import all_gather_object, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmlgd.errors import ConfigError
from mmlgd.registry import HOOKS
from mmlgd.store import plain, survey_images
from mmlgd.student.image_size import image_size

_KEY = 'mmlgd_steps'
# The settings of a schedule, by mmengine's names; the rest of its state is its progress.
_TIMES = ('by_epoch', 'begin', 'end', 'T_max', 'total_iters', 'milestones', 'step_size', 'periods', 'total_steps')
_OPTIMIZER = ('initial_lr', 'weight_decay', 'momentum', 'betas', 'nesterov', 'alpha', 'eps')
_SHAPE = ('start_factor', 'end_factor', 'factor', 'gamma', 'power', 'eta_min', 'eta_min_ratio', 'restart_weights')


@HOOKS.register_module()
class StepsCheckHook(Hook):
    """Refuse ranks with unequal batches before the first step; warn if a resumed run has other batches than before.

    Ranks wait for each other in each step, and the banks gather equally many embeddings from all ranks. A rank with
    another number of steps, or another size of the last batch, would leave the others waiting. mmengine's samplers give
    all ranks the same number (``round_up=True``, their default). If ranks have different images in their folders, or
    list them in different orders, some images would be trained twice and others never.

    A resumed run may have another number of processes, another batch size, other images or another number of epochs; a
    warning says what that changes. Schedule and optimizer settings come from the checkpoint. A config with other
    settings is refused, because mmengine would ignore them.

    Examples:
        >>> default_hooks = dict(steps=dict(type='mmlgd.StepsCheckHook'))
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare schedules and optimizer of the config with the checkpoint, which replaces them.

        Args:
            runner (Runner): The runner, after its optimizer and schedules are built.
            checkpoint (dict): The loaded checkpoint.

        Raises:
            ConfigError: They differ, although an epoch has as many steps as before; the message names the difference.
        """
        saved, here = checkpoint.get('param_schedulers'), runner.param_schedulers
        if not (runner._resume and _counts_epochs(runner) and isinstance(saved, list) and isinstance(here, list)):
            return
        if _told_by(checkpoint).get('steps', len(runner.train_dataloader)) != len(runner.train_dataloader):
            return  # the number of steps has changed; before_train warns about it
        built = [_settings(scheduler.state_dict()) for scheduler in here]
        saved = [_settings(state) for state in saved if isinstance(state, dict)]
        if built != saved:
            raise ConfigError(
                f'The schedule of this config differs from the one in the checkpoint, which a resumed run follows to '
                f'its end: {_difference(saved, built)} (counted in steps; an epoch has '
                f'{len(runner.train_dataloader)}). To continue as before, give the param_scheduler of the first run '
                f'(with a larger train_cfg.max_epochs, its last learning rate stays). To train with another schedule, '
                f'start a new run from the weights: `--cfg-options load_from={runner._load_from}` instead of --resume.'
            )
        saved, built = _groups(checkpoint.get('optimizer')), _groups(runner.optim_wrapper.state_dict())
        if len(saved) == len(built) and saved != built:
            raise ConfigError(
                f'The optimizer of this config differs from the one in the checkpoint, whose settings a resumed run '
                f'keeps: {_difference(saved, built, "optimizer.param_groups")}. Give the settings of the first run, or '
                f'start a new run from the weights: `--cfg-options load_from={runner._load_from}` instead of --resume.'
            )

    def before_train(self, runner: Runner) -> None:
        """Compare the ranks with each other, and a resumed run with its checkpoint.

        Args:
            runner (Runner): The runner, after resuming. Iteration-based runs have no last batch and pass.

        Raises:
            ConfigError: The ranks have unequal batches or different images, or do not go on from the same step; the
                message lists all ranks.
        """
        if not _counts_epochs(runner):
            return
        steps, last = _steps(runner.train_dataloader)
        images = _images(runner.train_dataloader.dataset)
        ranks = all_gather_object((steps, last, images, runner.iter))
        if len({rank[3] for rank in ranks}) > 1:
            told = '; '.join(f'rank {k}: after step {rank[3]}' for k, rank in enumerate(ranks))
            raise ConfigError(
                f'The ranks do not go on from the same step ({told}): they found different checkpoints, or some found '
                f'none. Put the work dir on a disk that all machines share, under the same path, or copy its last '
                f'checkpoint to each of them.'
            )
        if len({rank[:2] for rank in ranks}) > 1:
            told = '; '.join(f'rank {k}: {n} steps, the last of {m} images' for k, (n, m, *_) in enumerate(ranks))
            raise ConfigError(
                f'The ranks have unequal batches in an epoch ({told}), and would wait for each other forever. Use '
                f"train_dataloader.sampler=dict(type='DefaultSampler', shuffle=True, round_up=True), which gives some "
                f'images twice, or drop_last=True.'
            )
        if any(rank[2] != images for rank in ranks):
            told = '; '.join(f'rank {k}: {_shown_images(one)}' for k, (_, _, one, _) in enumerate(ranks))
            raise ConfigError(
                f'The ranks have different images, or the same images in another order ({told}): each rank takes its '
                f'share by index, so some images would never be seen. Give all machines the same files in '
                f'train_dataloader.dataset.data_root.'
            )
        here = dict(processes=get_world_size(), batch=runner.train_dataloader.batch_size, steps=steps)
        here.update(images, epochs=runner.max_epochs, size=list(image_size(runner.cfg)))
        # Checkpoints hold it; old ones hold only a part.
        before = {**here, **_told_by(dict(message_hub=dict(runtime_info=runner.message_hub.runtime_info)))}
        if any(before[key] != here[key] for key in ('processes', 'batch', 'steps')):
            runner.logger.warning(
                f'This run continues with {_shown(here)}, but began with {_shown(before)}. Weights, optimizer, banks, '
                f'queue, learning rate and schedule come from the checkpoint, on all ranks. The learning rate fits the '
                f'old number of images per step. The schedule counts steps: with more steps per epoch it ends before '
                f'the run, with fewer it never ends. Keep processes x train_dataloader.batch_size to keep both.'
            )
        if any(before[key] != images[key] for key in images):
            runner.logger.warning(
                f'This run continues with other images: {_shown_images(here)}; it began with {_shown_images(before)}. '
                f'Its result will differ from a run on either set.'
            )
        if before['size'] != here['size']:
            runner.logger.warning(
                f'This run continues with images of {here["size"]} pixels, but began with {before["size"]}: its '
                f'student will be evaluated and used at the new size.'
            )
        if before['epochs'] != here['epochs']:
            runner.logger.warning(
                f'This run now ends after {here["epochs"]} epochs, but began with {before["epochs"]}. Its schedule '
                f'comes from the checkpoint: with more epochs its last learning rate stays, with fewer the run ends '
                f'before reaching it.'
            )
        runner.message_hub.update_info(_KEY, here)


def _counts_epochs(runner: Runner) -> bool:
    return isinstance(runner.train_loop, EpochBasedTrainLoop)


def _told_by(checkpoint: dict) -> dict:
    """Read the values that this hook has saved in a checkpoint."""
    value: Any = checkpoint
    for key in ('message_hub', 'runtime_info', _KEY):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _settings(state: dict) -> dict:
    """Get the settings of a schedule as plain values."""
    return {key: plain(state[key]) for key in (*_TIMES, *_SHAPE) if key in state}


def _groups(state: Any) -> list[dict]:
    """Get the settings of an optimizer, group by group, if its state contains them."""
    groups = state.get('param_groups') if isinstance(state, dict) else None
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        return []
    return [{key: plain(group[key]) for key in _OPTIMIZER if key in group} for group in groups]


def _difference(saved: list[dict], built: list[dict], name: str = 'param_scheduler') -> str:
    if len(saved) != len(built):
        return f'it has {len(saved)} parts in the checkpoint and {len(built)} in the config'
    pairs = enumerate(zip(saved, built))
    return '; '.join(
        f'{name}[{k}].{key} is {theirs.get(key)} in the checkpoint and {ours.get(key)} in the config'
        for k, (theirs, ours) in pairs
        for key in sorted({*theirs, *ours})
        if theirs.get(key) != ours.get(key)
    )


def _images(dataset: Any) -> dict:
    """Describe the images by their number and a digest of their names, if the data set has names."""
    dataset = getattr(dataset, 'images', dataset)  # inside the views of a teacher store
    if not hasattr(dataset, 'get_data_info'):
        return {}
    try:
        told = survey_images(dataset)
    except ConfigError:  # images that are not files
        return {}
    return dict(count=told['count'], names=told['names'])


def _steps(loader: Any) -> tuple:
    """Count a loader's batches and the images of its last batch, if its sampler has a length."""
    steps, size = len(loader), loader.batch_size
    if size is None:  # the user's own batch sampler
        return steps, None
    return steps, size if loader.drop_last else len(loader.sampler) - (steps - 1) * size


def _shown(steps: dict) -> str:
    return f'{steps["processes"]} processes x {steps["batch"]} images, {steps["steps"]} steps per epoch'


def _shown_images(images: dict) -> str:
    return f'{images.get("count", "an unknown number of")} images (digest of their names {images.get("names")})'
