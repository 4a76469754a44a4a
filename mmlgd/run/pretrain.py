"""Pre-training from images, in a folder or in shards, and class names: an ordinary config, printed and run."""

import os
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Optional, Union

from mmlgd.errors import ConfigError, shown

from .child import failure, run
from .inputs import (
    check_cards,
    check_places,
    check_step,
    check_teacher,
    count_images,
    path_of,
    teacher_settings,
    vocabulary_of,
    with_looks,
)
from .recipes import Plan, check_recipe, has_conse, most_counted, plan_run, recipe_settings
from .students import NAMED, student_settings
from .trial import check_stored_training
from .watched import evaluation_settings, reason
from .written import config_text, read_text, refuse_both, refuse_trained, written_config

# Large packages are imported inside functions: the help of `mmlgd pretrain`, which reads this module, must not wait for
# them.

VIEWS = 8  # of each image, in a new store
_RANGES = dict(epochs=(1, 100_000), batch_size=(2, 2**31), size=(32, 4096), workers=(0, 512), gpus=(1, 4096))


@dataclass
class PretrainResult:
    """The result of a pre-training.

    Attributes:
        config (Path): Its config, an ordinary config file.
        work_dir (Path): Folder of config, logs, curves and checkpoints.
        commands (List[List[str]]): Commands that were run, or would be run.
        checkpoint (Path, optional): The last checkpoint. None after a dry run.
        figures (Dict[str, float]): The last value of each scalar in its log, such as ``loss`` and ``bank/visited``.
    """

    config: Path
    work_dir: Path
    commands: list[list[str]]
    checkpoint: Optional[Path] = None
    figures: dict[str, float] = field(default_factory=dict)


def pretrain(
    *,
    images: Path,
    names: Union[list[str], str, Path, dict],
    val: Optional[Path] = None,
    student: str = 'resnet18',
    teacher: str = 'RN50:openai',
    looks: Optional[str] = None,
    looks_share: Optional[float] = None,
    recipe: Optional[Literal['paper', 'small-data']] = None,
    dense: bool = False,
    epochs: Optional[int] = None,
    batch_size: Optional[int] = None,
    size: Optional[int] = None,
    workers: Optional[int] = None,
    bad_images: Literal['skip', 'raise'] = 'skip',
    max_bad_images: Union[str, int, float] = '1%',
    gpus: int = 1,
    seed: int = 0,
    store: Optional[Path] = None,
    views: Optional[int] = None,
    work_dir: Optional[Path] = None,
    resume: Union[bool, str, Path] = False,
    amp: bool = False,
    cfg_options: Optional[dict[str, Any]] = None,
    overwrite: bool = False,
    dry_run: bool = False,
) -> PretrainResult:
    """Distil a CLIP-style teacher into a small backbone, on your images and class names. No labels are read.

    It writes an ordinary config of a few lines on top of one of ours, prints it, and trains it in a separate process.
    If you need more than these options, edit the config and train it yourself (`mmlgd train FILE`, `mim train mmlgd
    FILE`). After an interruption, the same command with --resume continues.

    Args:
        images (Path): Folder of images; sub-folders count. Or tar shards in the layout of webdataset: a pattern in
            quotes such as '/data/train-{000000..000009}.tar', or a folder of .tar files.
        names (List[str] | str | Path | dict): Class names: a text file, one per line, or a known set: in1k, caltech256,
            coco, lvis-v1, cityscapes, ade20k, coco-stuff; in1k+phrasings and others have several phrasings of a
            class; or the names themselves, in quotes with commas between them. The command joins several of these.
            In Python, a list holds the names themselves, and dict(union=[...]) joins.
        val (Path, optional): Folder of other images, for an evaluation about ten times in the run. With a class folder
            for each name, the log has the zero-shot accuracies of student and teacher; without, how far
            they agree. Defaults to None: no evaluation; the log has the agreement on the images of training.
        student (str): The backbone to train: resnet18, mobilenetv2, timm:NAME or mmpretrain:NAME; --list-students
            shows all. Defaults to resnet18.
        teacher (str): MODEL[:TAG[:FILE]], an open_clip model and its tag, or the tag and a file of its weights;
            local-dir:DIR; hf-hub:ORG/NAME; or conse, which pip installs ("mmlgd[conse]") and which needs no download.
            In Python it can also be a config. Defaults to RN50:openai.
        looks (str, optional): What images look like, beside the words of the teacher: timm:NAME, torchvision:NAME,
            mmpretrain:NAME or efficientnet-lite:NAME, the features of a backbone; or logits, of the classifier of
            conse, which has them without this option in the small-data recipe. Defaults to None.
        looks_share (float, optional): With looks: their share of the teacher, from 0 to below 1. Defaults to 0.9.
        recipe (str, optional): paper: the published recipe, for millions of views; small-data: the recipe of our study,
            for a few thousand images. By default images x epochs decides; the reason is printed.
        dense (bool): Add names and a queue for every place of an image to the recipe, for detectors and segmentors. The
            teacher must have places. Defaults to False.
        epochs (int, optional): Number of epochs, from 1 to 100000. Defaults to 200; on a CPU with the small-data
            recipe, to a first run of 32,000 views: ten minutes at 64 px with the teacher conse.
        batch_size (int, optional): Images per step and GPU, 2 or more; the learning rate is scaled with it. Defaults to
            256 (paper) or 64 (small-data; 32 in a short run), and at most the number of images.
        size (int, optional): Side of the images in pixels, from 32 to 4096. Defaults to 224; on a CPU with the
            small-data recipe, to 64, or 128 with dense.
        workers (int, optional): Processes per GPU that read images, from 0 to 512. Defaults to 8, and at most the
            number of cores.
        bad_images (str): skip leaves out unreadable or truncated images and reports them; raise stops at the first.
            Defaults to skip.
        max_bad_images (str | int | float): With skip, the run stops if there are more; a number, or a share such as
            1%. Defaults to 1%.
        gpus (int): GPUs of this machine. Defaults to 1; without a GPU, the CPU is used.
        seed (int): Seed of weights, order and augmentation, from 0 to 4294967295. Defaults to 0.
        store (Path, optional): Run the teacher once and keep its embeddings in this folder; later runs with the same
            images read them. With dense, it keeps the places of the teacher's own grid, too. All options, those of
            cfg_options too, hold for the writer and for the training, which is built once before anything is written.
            Defaults to None.
        views (int, optional): With a store: augmented views per image, from 1 to 100000. Defaults to the number in the
            store, and to 8 for a new store.
        work_dir (Path, optional): Folder for config, log and checkpoints. Defaults to work_dirs/lgd_STUDENT_IMAGES, or
            dense_STUDENT_IMAGES.
        resume (bool | str | Path): Continue from the last complete checkpoint in the work dir, or from the given
            one. Defaults to False.
        amp (bool): Use mixed precision also on GPUs without bf16. Defaults to False.
        cfg_options (dict, optional): Changes to the config, ``key.subkey=value``. Defaults to None.
        overwrite (bool): Replace another run in the work dir, or an earlier training of this one. Defaults to False.
        dry_run (bool): Write and print the config, and stop. Defaults to False.

    Returns:
        PretrainResult: Checkpoint, figures and paths.

    Raises:
        MMLGDError: An argument cannot be used; nothing has been written in this case.
        ImportError: A package that the teacher needs is not installed.
        RunError: The training failed, or was stopped.

    Examples:
        >>> import mmlgd
        >>> result = mmlgd.pretrain(images='photos', names=['cat', 'dog'], teacher='conse')  # doctest: +SKIP
        >>> backbone = mmlgd.get_student(result.checkpoint)  # doctest: +SKIP
    """
    from mmlgd.datasets.shards import are_shards, name_of, refuse_remote
    from mmlgd.text import load_vocabulary

    refuse_remote(images)
    images, store = path_of(images), None if store is None else path_of(store)
    check_recipe(recipe)
    numbers = dict(epochs=epochs, batch_size=batch_size, size=size, workers=workers, gpus=gpus)
    _check_numbers(numbers, seed, views, store)
    refuse_both(resume, overwrite)
    dataset = dict(data_root=str(images.resolve()), **_bad_images(bad_images, max_bad_images))
    if are_shards(images):
        dataset['type'] = 'mmlgd.ImageShards'
    plan = _plan(images, recipe, numbers, teacher, dense)
    if not dry_run:
        check_cards(gpus)
    vocabulary, teacher_config = vocabulary_of(names), with_looks(teacher_settings(teacher), looks, looks_share)
    usual = Path('work_dirs') / f'{"dense" if dense else "lgd"}_{student.replace(":", "-")}_{name_of(images)}'
    work_dir = usual if work_dir is None else path_of(work_dir)
    check_places(images, vocabulary, teacher_config, work_dir, store)
    backbone = None if student == next(iter(NAMED)) else student_settings(student, plan.size)  # None: the base's own
    workers = min(8, _cores()) if workers is None else workers
    settings = recipe_settings(plan, teacher_config, vocabulary, backbone, dataset, workers, seed)
    if val is not None:
        _watch(settings, plan, path_of(val), images, load_vocabulary(vocabulary), workers)
    text = config_text(plan.base, settings, cfg_options or {})
    if dense or 'looks' in teacher_config:
        check_teacher(read_text(text)['model']['teacher'], plan.images, dense, store)
    if store is not None and _store_arguments(store, views, dense) is not None:
        check_stored_training(read_text(text))

    train_args = [*(['--resume', *([str(resume)] if isinstance(resume, (str, Path)) else [])] if resume else [])]
    train_args += ['--amp'] if amp else []
    stored = (gpus, store, views, train_args, dense)
    with written_config(work_dir, text, overwrite, lambda file: commands_of(file, *stored)[-1]) as config:
        if not (resume or overwrite or dry_run):
            refuse_trained(work_dir)
        result = PretrainResult(config, work_dir, commands_of(config, *stored))
        print('\n'.join([*plan.reasons, f'The config: {shown(config)}']))
        if dry_run:
            print(f'\n{config.read_text(encoding="utf-8")}')
        for command in result.commands:
            told = shown(shlex.join(command))
            print(f'$ {told}', flush=True)
            if not dry_run and (code := run(command)):
                raise failure(told, code)
        if not dry_run:
            result.checkpoint, result.figures = _last_checkpoint(work_dir), _last_figures(work_dir)
    return result


def _watch(settings: dict, plan: Plan, val: Path, images: Path, names: list[str], workers: int) -> None:
    """Add an evaluation to the settings, and its reason to the plan."""
    watched = evaluation_settings(val, images, names, plan.epochs, plan.batch_size, workers)
    watched['val_dataloader']['dataset'].update(
        {key: value for key, value in settings['train_dataloader']['dataset'].items() if 'bad_images' in key}
    )
    plan.reasons.append(reason(watched, val, names))
    settings['train_cfg'].update(watched.pop('train_cfg'))
    settings.update(watched)


def commands_of(
    config: Path,
    gpus: int,
    store: Optional[Path],
    views: Optional[int],
    train_args: list[str],
    dense: bool = False,
) -> list[list[str]]:
    """List the commands to run.

    Args:
        config (Path): Config of the run.
        gpus (int): Number of GPUs; for several, torchrun starts one process each.
        store (Path, optional): The teacher store; it is written first unless it has all its shards.
        views (int, optional): Views per image in the store.
        train_args (List[str]): Arguments for ``mmlgd train``.
        dense (bool): A new store keeps places. Defaults to False.

    Returns:
        List[List[str]]: Commands.

    Raises:
        StoreError: The store is damaged or has another format, or has another number of views.
    """
    command, launcher = [sys.executable, '-m', 'mmlgd.cli'], []
    if gpus > 1:
        torchrun = ['-m', 'torch.distributed.run', f'--nproc_per_node={gpus}', '--standalone']
        command = [sys.executable, *torchrun, '-m', 'mmlgd.cli']
        launcher = ['--launcher', 'pytorch']
    commands = []
    if store is not None:
        written = _store_arguments(store, views, dense)
        if written is not None:
            commands.append([*command, 'store', str(config), *written, *launcher])
        train_args = ['--store', str(store), *train_args]
    commands.append([*command, 'train', str(config), *launcher, *train_args])
    return commands


def _store_arguments(store: Path, views: Optional[int], dense: bool) -> Optional[list[str]]:
    """Return the options to write the store before training; None if it has all its shards."""
    from mmlgd.store import DESCRIPTION, StoreError, TeacherStore
    from mmlgd.store.asked_places import OWN

    seed, places = [], ['--places', OWN] if dense else []
    if (store / DESCRIPTION).is_file():
        told = TeacherStore(store)
        if views not in (None, told.num_views):
            raise StoreError(
                f'--views {views} was given, but the teacher store in {str(store)!r} has {told.num_views} views per '
                f'image. Leave --views out to train from it, or give another folder as --store for {views} views.'
            )
        if not told.missing():
            return None
        views, seed = told.num_views, ['--seed', str(told.origin()['seed'])]
        places = told.places.options if told.places else []  # a writer that was stopped goes on with them
    return [*seed, *places, '--views', str(views or VIEWS), '--out', str(store)]


def _plan(images: Path, recipe: Optional[str], numbers: dict, teacher: Union[str, dict], dense: bool) -> Plan:
    import torch

    epochs, batch_size, gpus = numbers['epochs'], numbers['batch_size'], numbers['gpus']
    count = count_images(images, most_counted(epochs, batch_size, gpus))
    if batch_size or count < 2 * gpus:
        check_step(images, count, batch_size or 2, gpus)
    is_conse = has_conse(teacher) if isinstance(teacher, dict) else teacher == 'conse'
    has_card = torch.cuda.is_available() or gpus > 1
    return plan_run(count, recipe, epochs, batch_size, numbers['size'], gpus, has_card, is_conse, dense)


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
            raise ConfigError(f'--views {views} needs a teacher store: give its folder as --store, or omit --views.')


def _bad_images(policy: str, most: Union[str, int, float]) -> dict:
    """Get the settings for bad images, if they differ from our configs."""
    text = str(most)
    is_share = text.endswith('%') or isinstance(most, float)
    try:
        amount = (float(text[:-1]) / 100 if text.endswith('%') else most) if is_share else int(text)
    except ValueError:
        amount = 0
    if not (0 < amount < 1 if is_share else amount >= 1):
        raise ConfigError(
            f'--max-bad-images: expected a number of images such as 20, or a share from 0% to 100% such as 1%; got '
            f'{text!r}.'
        )
    if policy not in ('skip', 'raise'):
        raise ConfigError(f"--bad-images: expected 'skip' or 'raise', got {policy!r}.")
    given = dict(bad_images=policy, max_bad_images=amount)
    return {key: value for key, value in given.items() if value not in ('skip', 0.01)}


def _last_checkpoint(work_dir: Path) -> Optional[Path]:
    from mmlgd.checkpoints.resume import last_whole_checkpoint

    return last_whole_checkpoint(work_dir)


def _last_figures(work_dir: Path) -> dict[str, float]:
    """Read the last value of each scalar in the log of the run."""
    from mmlgd.engine.reports.curves import read_scalars

    curves = read_scalars(work_dir, iterations_per_epoch=1)
    return {key: float(values[-1]) for key, (_, values) in curves.items()}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
