"""``mmlgd pretrain``: an ordinary config from a few options, printed and run."""

import argparse
import ctypes
import shlex
import signal
import subprocess
import sys
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Callable, Optional

import click
from click.shell_completion import CompletionItem

STUDENTS = ('resnet18', 'mobilenetv2')
VIEWS = 8  # of each picture, in a new store
BAD_PICTURES = dict(bad_pictures='skip', max_bad_pictures=0.01)  # as in our configs
MOST_SEED, MOST_VIEWS = 2**32 - 1, 100_000  # as in mmlgd: a test compares; `--help` waits for no torch
SETS = ('in1k', 'caltech256', 'coco', 'lvis-v1', 'cityscapes', 'ade20k')  # a test compares with mmlgd.text


class Names(click.ParamType):
    """A vocabulary: one of the known sets, or a file; completion offers both."""

    name = 'FILE|SET'

    def shell_complete(self, ctx, param, incomplete):
        """Offer the sets, and let the shell offer files."""
        sets = [CompletionItem(name) for name in SETS if name.startswith(incomplete)]
        return [*sets, CompletionItem(incomplete, type='file')]


class Amount(click.ParamType):
    """A number of pictures, or a share of them in per cent."""

    name = 'N|P%'

    def convert(self, value, param, ctx):
        """Turn it into what ``max_bad_pictures`` takes."""
        text = str(value)
        is_share = text.endswith('%')
        try:
            amount = float(text[:-1]) / 100 if is_share else int(text)
        except ValueError:
            amount = 0
        if not (0 < amount < 1 if is_share else amount >= 1):
            self.fail(f'expected a number of pictures as 20, or a share between 0 and 100 as 1%; got {text!r}')
        return amount


@click.command(context_settings=dict(show_default=True))
@click.option('--images', type=click.Path(path_type=Path), required=True, help='Folder of pictures; sub-folders too.')
@click.option(
    '--names',
    type=Names(),
    required=True,
    multiple=True,
    help=f'Class names: a text file, one a line, or one of {", ".join(SETS)}. Several are joined.',
)
@click.option('--student', type=click.Choice(STUDENTS), default='resnet18', help='The backbone to train.')
@click.option(
    '--teacher',
    default='RN50:openai',
    metavar='MODEL[:TAG[:FILE]]',
    help='An open_clip model and its tag, or TAG:FILE for weights of this tag in a file; local-dir:DIR; '
    'hf-hub:ORG/NAME; or conse, which pip installs ("mmlgd[conse]") and which needs no download.',
)
@click.option('--epochs', type=click.IntRange(1, 100_000), default=200, help='Times that each picture is seen.')
@click.option('--batch-size', type=click.IntRange(2), default=256, help='Pictures a step and card; the lr follows.')
@click.option('--size', type=click.IntRange(32, 4096), default=224, help='Side of the pictures, in pixels.')
@click.option('--workers', type=click.IntRange(0, 512), default=8, help='Processes that read pictures, for each card.')
@click.option(
    '--bad-pictures',
    type=click.Choice(('skip', 'raise')),
    default='skip',
    help='Of files that are no picture or not a whole one: leave them out and say which, or stop at the first.',
)
@click.option('--max-bad-pictures', type=Amount(), default='1%', help='With skip: a run that meets more of them stops.')
@click.option('--gpus', type=click.IntRange(1), default=1, help='Cards of this machine.')
@click.option('--seed', type=click.IntRange(0, MOST_SEED), default=0, help='Of weights, order and augmentation.')
@click.option(
    '--store',
    type=click.Path(path_type=Path, file_okay=False),
    help='Ask the teacher once and keep its answers here; later runs with the same pictures read them.',
)
@click.option(
    '--views',
    type=click.IntRange(1, MOST_VIEWS),
    help=f'With --store: augmented views of each picture.  [default: those of the store; {VIEWS} for a new one]',
)
@click.option(
    '--work-dir',
    type=click.Path(path_type=Path, file_okay=False),
    help='For config, log and checkpoints.  [default: work_dirs/lgd_STUDENT_IMAGES]',
)
@click.option('--overwrite', is_flag=True, help='Write the config over another one in the work dir.')
@click.option('--dry-run', is_flag=True, help='Write and print the config, and stop.')
@click.argument('train_args', nargs=-1, type=click.UNPROCESSED)
def pretrain(
    images, names, student, teacher, gpus, store, views, work_dir, overwrite, dry_run, train_args, **settings
) -> None:
    """Distil a CLIP-style teacher into a small backbone, on your pictures and class names. No labels are read.

    \b
    mmlgd pretrain --images photos --names names.txt
    mmlgd pretrain --images photos --names coco --names mine.txt --student mobilenetv2 --teacher conse
    mmlgd pretrain --images photos --names names.txt --store store -- --resume

    It writes an ordinary config of a few lines on top of ours, prints it, and trains it with tools/train.py. Edit the
    config and train it yourself when the options here end. What follows `--` goes to tools/train.py as it is:
    --resume after an interruption, --amp on older cards, --cfg-options KEY=VALUE.
    """  # noqa: D301  click takes the \b for "leave these lines as they are"
    try:
        images = images.expanduser()
        if views and store is None:
            raise ValueError(f'--views {views} is of a teacher store: give its folder as --store, or leave it out.')
        work_dir = work_dir or Path('work_dirs') / f'lgd_{student}_{images.resolve().name}'
        check_pictures(images, settings['batch_size'], gpus)
        if not dry_run:
            check_cards(gpus)
        vocabulary, teacher_config = check_names(names), check_teacher(teacher)
        check_places(images, vocabulary, teacher_config, work_dir, store)
        text = config_text(images, vocabulary, student, teacher_config, gpus, settings)
        commands_of = partial(tool_commands, gpus=gpus, store=store, views=views, train_args=train_args)
        if overwrite and '--resume' in train_args:
            raise ValueError('--overwrite begins another run, and --resume goes on with one: give one of them.')
        config = write_config(work_dir, text, overwrite, commands_of)
        commands = commands_of(config)
    except (ImportError, ValueError, OSError, RuntimeError) as error:  # RuntimeError: the home of nobody, as in ~nobody
        hint = '\n`mmlgd doctor` looks at the whole environment.' if isinstance(error, ImportError) else ''
        raise click.ClickException(f'{error}{hint}') from error
    click.echo(f'{config}:\n\n{config.read_text(encoding="utf-8")}')
    for command in commands:
        click.echo(f'$ {shlex.join(command)}')
        if not dry_run and (code := run(command)):
            sys.exit(code if code >= 0 else 128 - code)  # as a shell says it of a signal


def run(command: list[str]) -> int:
    """Run a tool to its end; what stops this process stops the tool with it.

    SIGTERM of a scheduler, SIGINT of ``kill`` or Ctrl-C and SIGHUP of a terminal that is closed are handed on as
    SIGTERM, which torchrun hands on to its processes; checkpoints are whole whenever it comes. Of SIGKILL, which nobody
    can hand on, Linux tells the tool.

    Args:
        command (List[str]): The tool and its arguments.

    Returns:
        int: Its exit code; minus the signal where one has ended it.
    """
    with subprocess.Popen(command, preexec_fn=_end_with_parent()) as process:
        there = [getattr(signal, name) for name in ('SIGTERM', 'SIGINT', 'SIGHUP') if hasattr(signal, name)]
        handed_on = [number for number in there if signal.getsignal(number) != signal.SIG_IGN]  # as with nohup
        before = {number: signal.signal(number, lambda *_: process.terminate()) for number in handed_on}
        try:
            return process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _end_with_parent() -> Optional[Callable[[], object]]:
    """What a child process calls for a SIGTERM when its parent dies; only Linux has that."""
    if sys.platform != 'linux':
        return None
    library = ctypes.CDLL(None)  # here: the child should do as little as it can before it begins
    set_death_signal = 1
    return lambda: library.prctl(set_death_signal, signal.SIGTERM)


def check_pictures(images: Path, batch_size: int, gpus: int) -> None:
    """Refuse a folder that no step could be made of.

    Args:
        images (Path): The folder.
        batch_size (int): Pictures a step and card.
        gpus (int): Cards.

    Raises:
        FileNotFoundError: There is no such folder, or no picture in it.
        ValueError: There are fewer pictures than a step takes; the message gives options that work.
    """
    from mmlgd.datasets.folder import images_in
    from mmlgd.utils.paths import IMAGE_SUFFIXES

    if not images.is_dir():
        raise FileNotFoundError(f'--images takes a folder of pictures; there is none at {str(images)!r}.')
    wanted = batch_size * gpus
    count = sum(1 for _ in islice(images_in(images, IMAGE_SUFFIXES), wanted))  # no more: there may be millions
    if count == wanted:
        return
    if not count:
        raise FileNotFoundError(f'No file in {str(images)!r} or its sub-folders ends with {", ".join(IMAGE_SUFFIXES)}.')
    if count // gpus >= 2:
        advice = f'give --batch-size {count // gpus} or less, or more images'
    elif count >= 2:
        advice = f'these are too few for that many cards: give --gpus {count // 2} or less and --batch-size 2'
    else:
        advice = 'give more images: a step takes 2 at least'
    raise ValueError(
        f'{str(images)!r} has {count} pictures, and a step takes {wanted} (--batch-size {batch_size} on {gpus} '
        f'card(s)): {advice}.'
    )


def check_cards(gpus: int) -> None:
    """Refuse more cards than there are. One may be none: the training then takes the CPU.

    Args:
        gpus (int): Cards.

    Raises:
        ValueError: This machine has fewer.
    """
    import torch

    if gpus > 1 and (found := torch.cuda.device_count()) < gpus:
        raise ValueError(
            f'--gpus {gpus} takes as many cards, and torch finds {found} on this machine: give --gpus {max(1, found)}, '
            f'or let `mmlgd doctor` look for the others.'
        )


def check_places(images: Path, vocabulary, teacher: dict, work_dir: Path, store: Optional[Path]) -> None:
    """Refuse to write into the folder of images, and paths that mmengine would read as templates out of the config.

    Args:
        images (Path): Folder of images.
        vocabulary (str | dict): Class names.
        teacher (dict): Config of the teacher.
        work_dir (Path): Of the run.
        store (Path, optional): The teacher store.

    Raises:
        ConfigError: The work dir or the store lies in the folder of images; or a path has such a part, see
            :mod:`mmlgd.utils.substitution`.
    """
    from mmlgd.datasets.folder import require_outside
    from mmlgd.utils.paths import place_of
    from mmlgd.utils.substitution import refuse_substitution

    require_outside(work_dir, images, 'The work dir', '--work-dir')
    if store is not None:
        require_outside(store, images, 'The store', '--store')
    refuse_substitution(
        {
            '--images': str(images.resolve()),
            '--names': vocabulary,
            '--teacher': teacher,
            '--work-dir': str(work_dir.resolve()),
            '--store': str(store or ''),
            'the place of mmlgd': str(place_of('configs')),
        }
    )


def check_names(names: tuple):
    """Read the class names once, so that what is wrong with them shows at once.

    Args:
        names (Tuple[str]): Files and sets.

    Returns:
        str | dict: What ``model.text.vocabulary`` takes, with absolute paths.

    Raises:
        FileNotFoundError: Neither a file nor a set.
        VocabularyError: No names, or an empty or duplicate one.
    """
    from mmlgd.text import load_vocabulary

    members = [name if name in SETS else str(Path(name).expanduser().resolve()) for name in names]
    for given, name in zip(names, members):
        if name not in SETS and not Path(name).is_file():
            raise FileNotFoundError(f'--names takes a text file, one name a line, or one of {SETS}; got {given!r}.')
        load_vocabulary(name)
    return members[0] if len(members) == 1 else dict(_delete_=True, union=members)  # the base has a string


def check_teacher(teacher: str) -> dict:
    """Turn ``--teacher`` into a teacher's config, and refuse what no library knows.

    Args:
        teacher (str): See ``mmlgd pretrain --help``.

    Returns:
        dict: For ``model.teacher``.

    Raises:
        ImportError: ConSE's packages are not installed.
        FileNotFoundError: There is no such folder.
        ValueError: Not a model of open_clip, or not one of its tags.
    """
    from importlib.util import find_spec

    if teacher == 'conse':
        missing = [m for m in ('sentence_transformers', 'efficientnet_lite_pytorch') if find_spec(m) is None]
        if missing:
            raise ImportError(f'--teacher conse needs {missing[0]}: pip install "mmlgd[conse]"')
        return dict(type='mmlgd.ConSETeacher')
    kind, _, place = teacher.partition(':')
    if kind == 'local-dir':
        folder = Path(place).expanduser().resolve()
        if not (folder / 'open_clip_config.json').is_file():
            raise FileNotFoundError(
                f'--teacher local-dir:DIR takes a folder with open_clip_config.json, got {place!r}.'
            )
        return dict(type='mmlgd.OpenCLIPTeacher', model=f'local-dir:{folder}')
    if kind == 'hf-hub':
        return dict(type='mmlgd.OpenCLIPTeacher', model=teacher)
    import open_clip

    from mmlgd.models.teachers.weights import find_weights

    if kind not in open_clip.list_models():
        raise ValueError(
            f'open_clip knows no model {kind!r}. Some it knows: RN50, ViT-B-32, ViT-B-16, MobileCLIP-S1; all: '
            f'python -c "import open_clip; print(*open_clip.list_models())"'
        )
    tags = open_clip.list_pretrained_tags_by_model(kind)
    if not place:
        if 'openai' not in tags:
            raise ValueError(f'--teacher {kind} has several weights: give one as {kind}:TAG of {", ".join(tags)}.')
        place = 'openai'
    tag, _, file = place.partition(':')
    if Path(place).expanduser().is_file():
        place = str(Path(place).expanduser().resolve())
    elif tag in tags and file:
        place = f'{tag}:{Path(file).expanduser().resolve()}'
    find_weights(kind, place)  # refuses an unknown tag, and names the known ones
    return dict(type='mmlgd.OpenCLIPTeacher', model=kind, pretrained=place)


def config_text(images: Path, vocabulary, student: str, teacher: dict, gpus: int, settings: dict) -> str:
    """Write the config.

    Args:
        images (Path): Folder of pictures.
        vocabulary (str | dict): Class names.
        student (str): One of :data:`STUDENTS`.
        teacher (dict): Config of the teacher.
        gpus (int): Cards.
        settings (dict): ``epochs``, ``batch_size``, ``size``, ``workers``, ``bad_pictures``, ``max_bad_pictures`` and
            ``seed``.

    Returns:
        str: Python, as ruff formats it.
    """
    from mmlgd.utils.paths import is_installed, place_of

    name = f'lgd/lgd_{student}_1xb256-coslr-200e_pictures.py'
    base = f'mmlgd::{name}' if is_installed() else str(place_of('configs') / name)
    epochs, batch = settings['epochs'], settings['batch_size']
    warm_up = min(5, epochs // 4)  # the published 5 of 200 epochs, and never most of a short run
    options = ', '.join(f'{key}={value!r}' for key, value in teacher.items())
    # A sentence encoder was not trained on captions.
    prompts = ", templates='plain'" if teacher['type'] == 'mmlgd.ConSETeacher' else ''
    lines = [
        '# Written by `mmlgd pretrain`. An ordinary config: edit it, train it by `mim train mmlgd FILE`.',
        f'_base_ = {base!r}',
        '',
        'model = dict(',
        f"    teacher=dict(_delete_=True, {options}, compile='auto'),",
        f'    text=dict(vocabulary={vocabulary!r}{prompts}),',
        ')',
    ]
    dataset = [f'data_root={str(images.resolve())!r}']
    dataset += [f'{key}={settings[key]!r}' for key, usual in BAD_PICTURES.items() if settings[key] != usual]
    if settings['size'] != 224:
        dataset.append(f'size={settings["size"]}')
    lines += [
        'train_dataloader = dict(',
        f'    batch_size={batch},',
        f'    num_workers={settings["workers"]},',
        f'    dataset=dict({", ".join(dataset)}),',
        ')',
        '',
        f'optim_wrapper = dict(optimizer=dict(lr={0.03 * batch * gpus / 256:.6g}))  # 0.03 for 256 pictures',
        f'auto_scale_lr = dict(base_batch_size={batch * gpus})',
    ]
    if epochs != 200:
        lines.append('param_scheduler = [')
        common = 'by_epoch=True, convert_to_iter_based=True'
        if warm_up:
            lines.append(f"    dict(type='LinearLR', start_factor=1e-4, begin=0, end={warm_up}, {common}),")
        span = f'T_max={epochs - warm_up}, begin={warm_up}, end={epochs}'
        lines += [f"    dict(type='CosineAnnealingLR', {span}, {common}),", ']']
        lines.append(f'train_cfg = dict(max_epochs={epochs})')
    lines += [f'randomness = dict(seed={settings["seed"]})', '']
    return '\n'.join(lines)


def write_config(
    work_dir: Path, text: str, overwrite: bool = False, commands_of: Optional[Callable[[Path], list]] = None
) -> Path:
    """Write the config; one that says something else stays.

    Args:
        work_dir (Path): Of the run. mmengine writes the config in full there: ours goes into a folder of its own.
        text (str): The config.
        overwrite (bool): Also over one that says something else. Defaults to False.
        commands_of (Callable, optional): The commands of a config, for the advice to train the one that is there.
            Defaults to None, those without further options.

    Returns:
        Path: The file.

    Raises:
        FileExistsError: Another config is there.
        LockedError: Another run writes to the work dir, and its config is not this one.
        OSError: The work dir cannot be written to.
    """
    from mmlgd.utils.files import own_folder, sole_writer, write_whole

    # The place of the work dir is part of the config: a later `train.py CONFIG --resume` finds its checkpoints.
    file, place = work_dir / 'recipe' / 'pretrain.py', f'work_dir = {str(work_dir.resolve())!r}\n'
    if _read(file) == text + place:
        return file
    with sole_writer(work_dir):  # not that of a run which is going on
        there = _read(file)
        is_moved = there.startswith(f'{text}work_dir = ') and there.count('\n') == text.count('\n') + 1
        if there and not is_moved and not overwrite:
            commands = (commands_of or partial(tool_commands, gpus=1, store=None, views=None, train_args=()))(file)
            raise FileExistsError(
                f'{file} is the config of another run (or has been edited). Train it by\n'
                f'  {shlex.join(commands[-1])}\n'
                f'or give these options another --work-dir, or --overwrite, which replaces it.'
            )
        own_folder(file.parent)
        write_whole(file, (text + place).encode())
    return file


def _read(file: Path) -> str:
    from mmlgd.utils.files import read_small

    return read_small(file).decode(errors='replace') if file.is_file() else ''


def tool_commands(
    config: Path, gpus: int, store: Optional[Path], views: Optional[int], train_args: tuple
) -> list[list[str]]:
    """List what is to be run.

    Args:
        config (Path): Of the run.
        gpus (int): Cards; several are given a process each by torchrun.
        store (Path, optional): The teacher store, written first unless it has all of its shards.
        views (int, optional): Of each picture, in the store.
        train_args (Tuple[str]): For tools/train.py.

    Returns:
        List[List[str]]: Commands.

    Raises:
        StoreError: The store is damaged or of another kind, or has another number of views.
    """
    from mmlgd.utils.paths import place_of

    tools = place_of('tools')
    python, launcher = [sys.executable], []
    if gpus > 1:
        python = [sys.executable, '-m', 'torch.distributed.run', f'--nproc_per_node={gpus}', '--standalone']
        launcher = ['--launcher', 'pytorch']
    commands = []
    if store is not None:
        written = store_arguments(store, views, train_args)
        if written is not None:
            commands.append([*python, str(tools / 'store_teacher.py'), str(config), *written, *launcher])
        train_args = ('--store', str(store), *train_args)
    commands.append([*python, str(tools / 'train.py'), str(config), *launcher, *train_args])
    return commands


def store_arguments(store: Path, views: Optional[int], train_args: tuple) -> Optional[list[str]]:
    """Say how the store is to be written before training reads it.

    Args:
        store (Path): The teacher store.
        views (int, optional): Of each picture, if the user wants a number of them.
        train_args (Tuple[str]): For tools/train.py; its ``--cfg-options`` are the writer's, too.

    Returns:
        List[str] | None: For tools/store_teacher.py; None if it has all of its shards.

    Raises:
        StoreError: The store is damaged or of another kind, or has another number of views.
    """
    from mmlgd.store import DESCRIPTION, StoreError, TeacherStore

    options = _cfg_options(train_args)
    arguments = ['--cfg-options', *options] if options else []
    if (store / DESCRIPTION).is_file():
        told = TeacherStore(store)
        if views not in (None, told.num_views):
            raise StoreError(
                f'--views {views}, and the teacher store in {str(store)!r} has {told.num_views} views of each image. '
                f'Leave --views out to train from it, or give another folder as --store for {views} views.'
            )
        if not told.missing():
            return None
        views = told.num_views
        arguments += ['--seed', str(told.origin()['seed'])]
    return [*arguments, '--views', str(views or VIEWS), '--out', str(store)]


def _cfg_options(train_args: tuple) -> list[str]:
    """What follows ``--cfg-options``."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[])
    return parser.parse_known_args(train_args)[0].cfg_options
