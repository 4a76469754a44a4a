r"""What is a student worth? Zero-shot, nearest neighbours and linear probes on frozen features, side by side.

    python tools/evaluate.py work_dirs/RUN/epoch_200.pth --data /my/data --names /my/names.txt
    python tools/evaluate.py --data /my/data --labels 1 5 100% --seeds 0 1 2 --teacher \
        --students lgd=work_dirs/RUN/epoch_200.pth random=none imagenet=torchvision://resnet18

DATA holds train/CLASS/* and val/CLASS/*, or train/* and val/* with train.txt and val.txt (`file label` lines, labels
from 0). Each student sees the images as in the evaluation of its own training, at its own size, without augmentation;
all else works on the features. The labels of a probe are those that dataset_converters/label_subset.py draws. The table
is printed, and written as table.md and table.json.
"""

import argparse
import copy
import json
import os
import re
import statistics
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, Optional

import torch
from dataset_converters.label_subset import choose
from mmengine.config import Config, DictAction
from mmengine.dataset import Compose
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpretrain.registry import TRANSFORMS
from torch import Tensor
from torch.utils.data import DataLoader

from mmlgd.cli.tool import run_tool
from mmlgd.datasets import Pictures
from mmlgd.datasets.folder import require_outside
from mmlgd.errors import ConfigError, MissingFileError
from mmlgd.evaluation import (
    Features,
    FrozenModel,
    choose_c,
    extract,
    knn_accuracy,
    linear_accuracy,
    load_frozen,
    load_teacher,
    pipeline_of,
    top1,
    unit_rows,
)
from mmlgd.student.backbone import backbone_of
from mmlgd.student.image_size import LARGEST, resized
from mmlgd.text import load_vocabulary
from mmlgd.utils.files import read_small, require_writable, write_whole
from mmlgd.utils.paths import IMAGE_SUFFIXES
from mmlgd.utils.seeds import seed_number
from mmlgd.utils.validation import above_zero, whole

_LIST = 2**30  # bytes; ImageNet-21k comes to 600 million


class Split(NamedTuple):
    """The labelled pictures of ``train`` or ``val``.

    Attributes:
        dataset (Pictures): Ready to be read.
        files (List[str]): Relative to the folder.
        labels (Tensor): (N,).
        folders (List[str] | None): Names of the class folders, if there are any.
    """

    dataset: Pictures
    files: list[str]
    labels: Tensor
    folders: Optional[list[str]]


def parse_args(argv: Optional[list[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', nargs='?', help='short for --students student=CHECKPOINT')
    parser.add_argument(
        '--students', nargs='+', default=[], metavar='NAME=SOURCE', help='a checkpoint, none, or torchvision://NAME'
    )
    parser.add_argument('--data', type=Path, required=True, help='folder with train and val')
    parser.add_argument('--names', help='vocabulary in label order: a text file or a set; default: that of training')
    parser.add_argument('--teacher', action='store_true', help="evaluate the first student's teacher as well")
    parser.add_argument(
        '--teacher-options', nargs='+', action=DictAction, help="changes to the teachers' configs, as pretrained=FILE"
    )
    parser.add_argument(
        '--backbone', metavar='CONFIG', help='of none and torchvision://; default: of the first student'
    )
    parser.add_argument(
        '--size',
        type=whole('pixels', 8, LARGEST),
        help="pixels of a side, for all students; default: each student's own size",
    )
    parser.add_argument(
        '--labels',
        nargs='+',
        type=share,
        default=['1%', '10%', '100%'],
        help='for each a linear probe: a share of the training pictures, as 10%%, or a number for each class',
    )
    parser.add_argument('--seeds', nargs='+', type=seed_number, default=[0, 1, 2], help='of the draws of labels')
    parser.add_argument(
        '--k', type=whole('neighbours', 1, 10**6), default=20, help='nearest neighbours; default: %(default)s'
    )
    parser.add_argument(
        '--c',
        type=above_zero,
        help='inverse penalty of the probes; default: chosen for each by cross-validation on its labelled pictures',
    )
    parser.add_argument('--batch-size', type=whole('images', 1, 10**5), default=128)
    parser.add_argument(
        '--workers',
        type=whole('processes', 0, 512),
        default=2,
        help='processes that read pictures; default: %(default)s',
    )
    parser.add_argument('--out', type=Path, help='folder of the table; default: work_dirs/evaluate_DATA')
    args = parser.parse_args(argv)
    if args.checkpoint:
        args.students.insert(0, f'student={args.checkpoint}')
    if not args.students:
        parser.error('nothing to evaluate: give a checkpoint, or --students NAME=SOURCE')
    if bad := [student for student in args.students if not re.fullmatch(r'[^=|\x00-\x1f]+=.+', student)]:
        parser.error(f'--students takes NAME=SOURCE, got {bad[0]!r}; for example random=none')
    names = [student.split('=', 1)[0] for student in args.students] + ['teacher'] * args.teacher
    for option, values in (('students', names), ('labels', args.labels), ('seeds', args.seeds)):
        if twice := [value for i, value in enumerate(values) if value in values[:i]]:
            parser.error(f'--{option} has {twice[0]!r} twice: the table would show one of them')
    args.students = dict(student.split('=', 1) for student in args.students)
    args.out = args.out or Path('work_dirs') / f'evaluate_{args.data.resolve().name}'
    return args


def share(text: str) -> str:
    """Check one of ``--labels``."""
    is_share = re.fullmatch(r'[0-9]{1,3}(\.[0-9]+)?%', text) and 0 < float(text[:-1]) <= 100
    if not is_share and not re.fullmatch(r'[1-9][0-9]{0,8}', text):
        raise argparse.ArgumentTypeError(
            f'expected a share as 10%, up to 100%, or a number of pictures as 5, got {text[:50]!r}'
        )
    return text


def load_models(args: argparse.Namespace) -> dict[str, FrozenModel]:
    """Load all students, and the teacher if it is asked for.

    Args:
        args (argparse.Namespace): Of :func:`parse_args`.

    Returns:
        Dict[str, FrozenModel]: By name, in the order of the command line.
    """
    models: dict[str, FrozenModel] = {}
    backbone = None
    if args.backbone:
        if not Path(args.backbone).is_file():
            raise MissingFileError(f'There is no config at {args.backbone!r}, which --backbone names.')
        backbone = backbone_of(Config.fromfile(args.backbone), args.backbone)
    # Those that say what they are come first: the others may take their backbone from them.
    for name in sorted(args.students, key=lambda name: _is_start(args.students[name])):
        torch.manual_seed(0)  # a random start is the same in every call
        models[name] = load_frozen(args.students[name], args.names, backbone, args.teacher_options)
        config = models[name].config
        if config and backbone is None:
            backbone = {key: value for key, value in config['model']['backbone'].items() if key != 'init_cfg'}
    models = {name: models[name] for name in args.students}
    if args.teacher:
        student = next((model for model in models.values() if model.bank is not None), next(iter(models.values())))
        models['teacher'] = load_teacher(student, args.teacher_options)
    return models


def load_split(data: Path, split: str, pipeline: list[dict]) -> Split:
    """Find the pictures and labels of one split.

    Args:
        data (Path): The folder.
        split (str): ``'train'`` or ``'val'``.
        pipeline (List[dict]): Transforms.

    Returns:
        Split: Its pictures.

    Raises:
        MissingFileError: There is no such folder, or no picture in it.
        UnreadableFolderError: A part of it may not be read.
        ConfigError: The list of its pictures is of another kind, see :func:`check_list`.
    """
    if not (data / split).is_dir():
        raise MissingFileError(f'Expected labelled pictures in {data / split}/CLASS/*, and there is no such folder.')
    file = data / f'{split}.txt'
    listed = file.is_file()
    if listed:
        check_list(file, data / split)
    elif not any(path.is_dir() for path in (data / split).iterdir()):
        raise MissingFileError(
            f'{data / split} has no class folders, and there is no {file} either. Give one of them: labels are needed.'
        )
    dataset = Pictures(
        data_root=str(data),
        data_prefix=split,
        ann_file=f'{split}.txt' if listed else '',
        extensions=IMAGE_SUFFIXES,
        pipeline=pipeline,
    )
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    files = [os.path.relpath(info['img_path'], data / split) for info in infos]
    folders = None if listed else list(dataset.CLASSES)
    return Split(dataset, files, torch.tensor([int(info['gt_label']) for info in infos]), folders)


def check_list(file: Path, folder: Path) -> None:
    """Read ``train.txt`` or ``val.txt`` once, so that what is wrong with it shows before all else, with its line.

    Args:
        file (Path): The list, of lines ``file label``.
        folder (Path): Where the pictures are.

    Raises:
        UnreadableError: It has more than 1 GiB.
        ConfigError: It is no UTF-8 text, empty, or has a line of another kind, or a picture twice or outside.
        MissingFileError: It names a picture that is not there.
    """
    try:
        # As mmengine reads it: other characters that end a line may stand in a name.
        lines = read_small(file, _LIST).decode('utf-8').rstrip('\r\n').split('\n')
    except UnicodeDecodeError as error:
        raise ConfigError(f'{file} is not UTF-8 text ({error}); save it as UTF-8.') from error
    if lines[0].startswith('\ufeff'):
        raise ConfigError(
            f'{file} begins with a byte order mark, which would count as a part of the first name. Save '
            f'it as UTF-8 without one.'
        )
    if lines == ['']:
        raise ConfigError(f'{file} is empty. Expected is a line `file label` for each picture.')
    first: dict[str, int] = {}
    missing = []
    for number, line in enumerate(lines, start=1):
        name, _, label = line.strip(' \t\r').rpartition(' ')
        if not name or not re.fullmatch(r'[0-9]{1,9}', label):
            raise ConfigError(
                f'Line {number} of {file} is {line[:200]!r}; expected is `file label`, the label a whole number from 0.'
            )
        name = os.path.normpath(name)
        if name.startswith(os.pardir) or os.path.isabs(name):
            raise ConfigError(f'{file} names {name!r}, which is not in {folder}. Name those in it.')
        if name in first:
            raise ConfigError(
                f'{file} has {name!r} twice, in lines {first[name]} and {number}: it would count twice. Keep one.'
            )
        first[name] = number
        if not os.path.isfile(folder / name):
            missing.append(name)
    if missing:
        raise MissingFileError(
            f'{len(missing)} of the {len(lines)} pictures in {file} are not in {folder}; the first is {missing[0]!r} '
            f'(line {first[missing[0]]}).'
        )


def drawn(split: Split, labels: str, seed: int) -> list[int]:
    """Draw the labelled pictures of a probe, as label_subset.py does.

    Args:
        split (Split): The training pictures.
        labels (str): A share as ``'10%'`` or a number for each class.
        seed (int): Seed.

    Returns:
        List[int]: Their positions.

    Raises:
        ConfigError: A class has fewer pictures.
    """
    position = {file: i for i, file in enumerate(split.files)}
    how = dict(percent=float(labels[:-1])) if labels.endswith('%') else dict(per_class=int(labels))
    chosen = []
    for label in split.labels.unique().tolist():
        name = split.folders[label] if split.folders else str(label)
        files = [file for file, its in zip(split.files, split.labels.tolist()) if its == label]
        try:
            chosen += [position[file] for file in choose(name, files, seed=seed, **how)]
        except ValueError as error:
            raise ConfigError(f'--labels {labels}: {error}') from error
    return chosen


def check_classes(args: argparse.Namespace, models: dict[str, FrozenModel], train: Split, val: Split) -> bool:
    """See that both splits, and the class names, speak of the same classes, and that there is something to learn from.

    Args:
        args (argparse.Namespace): Of :func:`parse_args`.
        models (Dict[str, FrozenModel]): Of :func:`load_models`.
        train (Split): Training pictures.
        val (Split): Pictures of evaluation.

    Returns:
        bool: Whether there is a name for each label; if not, and no names were given, there is no zero-shot.

    Raises:
        ValueError: They do not; the message says what was found and what was expected.
    """
    if train.folders != val.folders:
        differ = sorted(set(train.folders or ()) ^ set(val.folders or ())) or ['train.txt or val.txt']
        raise ConfigError(f'train and val have different classes: {", ".join(differ[:5])} is in one of them only.')
    there, asked = (set(split.labels.tolist()) for split in (train, val))
    highest = len(train.folders) - 1 if train.folders else max(there | asked)
    lacking = [k for k in range(min(highest + 1, len(there) + 1)) if k not in there]
    if lacking or len(there) < 2:
        what = train.folders[lacking[0]] if train.folders and lacking else (lacking or [1])[0]
        raise ConfigError(
            f'The training pictures of {args.data} are of {len(there)} classes, and none is of class {what!r}. A probe '
            f'takes two classes or more, and pictures of each; labels are whole numbers from 0 without a gap.'
        )
    if args.k > len(train.files):
        raise ConfigError(f'--k {args.k} nearest neighbours are more than the {len(train.files)} training pictures.')
    names = next((model.class_names for model in models.values() if model.class_names), None)
    if names is None:
        return False
    count = len(val.folders) if val.folders else int(max(train.labels.max(), val.labels.max())) + 1
    if len(names) != count:
        text = f'{args.data} has {count} classes and the vocabulary {len(names)} names'
        if args.names:
            raise ConfigError(f'{text}. Give one name for each class, in the order of the sorted class folders.')
        print(f'No zero-shot: {text} (those of training). --names gives it others.')
        return False
    if val.folders and val.folders != names and set(val.folders) == set(names):
        k = next(k for k, (folder, name) in enumerate(zip(val.folders, names)) if folder != name)
        raise ConfigError(
            f'The class names are those of the class folders in another order (folder {k} is {val.folders[k]!r}, name '
            f'{k} is {names[k]!r}). Labels go by the sorted folders: sort the names likewise.'
        )
    return True


def evaluate(
    args: argparse.Namespace,
    models: dict[str, FrozenModel],
    train: Split,
    val: Split,
    features: dict[str, tuple[Features, Features]],
    draws: dict[str, dict[int, list[int]]],
    zero_shot: bool,
) -> dict[str, dict]:
    """Measure all models.

    Args:
        args (argparse.Namespace): Of :func:`parse_args`.
        models (Dict[str, FrozenModel]): Of :func:`load_models`.
        train (Split): Training pictures.
        val (Split): Pictures of evaluation.
        features (Dict[str, Tuple[Features, Features]]): Of both, by model.
        draws (Dict[str, Dict[int, List[int]]]): Labelled pictures of the probes, by labels and seed.
        zero_shot (bool): Whether there is a name for each label.

    Returns:
        Dict[str, dict]: By model, ``zero_shot`` (None if it has no names), ``own_head`` (None if it is no linear
        classifier of these classes), ``knn`` and ``linear``, the latter by labels and seed; in per cent. ``c`` is the
        inverse penalty of each linear probe.
    """
    num_classes = int(max(train.labels.max(), val.labels.max())) + 1
    results = {}
    for name, model in models.items():
        seen, unseen = features[name]
        result = dict(source=args.students.get(name, 'teacher'), zero_shot=None, own_head=None)
        if zero_shot and model.bank is not None:
            result['zero_shot'] = top1(unseen.embeddings @ model.bank.cpu().T, val.labels)
        if model.head is not None and model.head.out_features == num_classes:
            result['own_head'] = top1(model.head.cpu()(unseen.features), val.labels)
        memory, queries = unit_rows(seen.features), unit_rows(unseen.features)
        result['knn'] = knn_accuracy(memory, train.labels, queries, val.labels, args.k)
        result.update(linear={labels: {} for labels in draws}, c={labels: {} for labels in draws})
        for labels, seeds in draws.items():
            for seed, chosen in seeds.items():
                labelled = seen.features[chosen], train.labels[chosen]
                c = args.c or choose_c(*labelled)
                result['c'][labels][str(seed)] = c
                result['linear'][labels][str(seed)] = linear_accuracy(*labelled, unseen.features, val.labels, c)
        results[name] = result
        print(table({name: result}, args).splitlines()[-1], flush=True)
    return results


def table(results: dict[str, dict], args: argparse.Namespace) -> str:
    """Write the results as a Markdown table.

    Args:
        results (Dict[str, dict]): Of :func:`evaluate`.
        args (argparse.Namespace): Of :func:`parse_args`.

    Returns:
        str: A row for each model; a classifier's own accuracy is in the first column, with a star.
    """
    probes = [f'linear, {labels}' + ('' if labels.endswith('%') else ' a class') for labels in args.labels]
    lines = [f'| | zero-shot | {args.k}-NN | {" | ".join(probes)} |', '|---' * (3 + len(probes)) + '|']
    for name, result in results.items():
        own = '–' if result['own_head'] is None else f'{result["own_head"]:.1f}*'
        cells = [own if result['zero_shot'] is None else f'{result["zero_shot"]:.1f}', f'{result["knn"]:.1f}']
        for values in result['linear'].values():
            spread = f' ± {statistics.stdev(values.values()):.1f}' if len(values) > 1 else ''
            cells.append(f'{statistics.mean(values.values()):.1f}{spread}')
        lines.append(f'| {name} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def main(argv: Optional[list[str]] = None) -> dict:
    """Evaluate, print the table and write it.

    Returns:
        dict: What table.json holds.
    """
    args = parse_args(argv)
    for split in ('train', 'val'):
        require_outside(args.out, args.data / split, 'The table', '--out')
    if find_spec('sklearn') is None:  # before all the work
        raise ConfigError('The linear probes need scikit-learn: `pip install "mmlgd[evaluation]"`.')
    require_writable(args.out)
    init_default_scope('mmpretrain')
    if args.names:
        args.names = load_vocabulary(args.names)
    started = time.time()
    models = load_models(args)
    pipelines = pipelines_of(models, args.size)
    train, val = (load_split(args.data, split, next(iter(pipelines.values()))) for split in ('train', 'val'))
    zero_shot = check_classes(args, models, train, val)
    draws = {
        labels: {seed: drawn(train, labels, seed) for seed in (args.seeds[:1] if labels == '100%' else args.seeds)}
        for labels in args.labels
    }

    models = {name: model.to(get_device()) for name, model in models.items()}
    features = {}
    for alike in groups(pipelines):
        print(f'Features of {len(train.files)} + {len(val.files)} pictures for {", ".join(alike)} ...', flush=True)
        seen, unseen = (
            extract({name: models[name] for name in alike}, loader(args, split, pipelines[alike[0]]))
            for split in (train, val)
        )
        features.update((name, (seen[name], unseen[name])) for name in alike)
    extracted = time.time()
    results = evaluate(args, models, train, val, features, draws, zero_shot)

    text = table(results, args)
    if any(result['own_head'] is not None for result in results.values()):
        text += '\n\n\\* not zero-shot: the accuracy of its own head, which was trained with labels.'
    report = dict(
        data=str(args.data),
        pictures=dict(train=len(train.files), val=len(val.files)),
        names=args.names,
        pipelines=pipelines,
        k=args.k,
        c=args.c,
        seconds=dict(features=round(extracted - started, 1), probes=round(time.time() - extracted, 1)),
        results=results,
    )
    args.out.mkdir(parents=True, exist_ok=True)
    for file, content in (('table.md', text), ('table.json', json.dumps(report, indent=1, ensure_ascii=False))):
        # A path need not be UTF-8; JSON reads the escape of such a byte.
        write_whole(args.out / file, f'{content}\n'.encode(errors='backslashreplace'))
    print(
        f'\n{text}\n\nTop-1 in per cent; mean ± spread over draws of labels. Also in {args.out}: table.md, table.json.'
    )
    return report


def sized(size: int) -> list[dict]:
    """Prepare pictures for a student of another size than its own."""
    return resized((size, size))


def pipelines_of(models: dict[str, FrozenModel], size: Optional[int]) -> dict[str, list[dict]]:
    """Say how each model sees the pictures.

    Args:
        models (Dict[str, FrozenModel]): Of :func:`load_models`.
        size (int, optional): Pixels, for all of them.

    Returns:
        Dict[str, List[dict]]: Transforms by model. A model that does not say, as a bare backbone, sees them as the
        first that does.
    """
    if size:
        return {name: pipeline_of(None, sized(size)) for name in models}
    first = next((model.config for model in models.values() if model.config), None)
    return {name: pipeline_of(model.config or first) for name, model in models.items()}


def groups(pipelines: dict[str, list[dict]]) -> list[list[str]]:
    """Put models together that see the same, so that each picture is read once for them."""
    found: list[list[str]] = []
    for name, pipeline in pipelines.items():
        group = next((names for names in found if pipelines[names[0]] == pipeline), None)
        if group is None:
            found.append([name])
        else:
            group.append(name)
    return found


def loader(args: argparse.Namespace, split: Split, pipeline: list[dict]) -> DataLoader:
    """Read the pictures of one split, in order."""
    dataset = copy.copy(split.dataset)  # listed once, for all sizes
    dataset.pipeline = Compose([TRANSFORMS.build(dict(step)) for step in pipeline])
    return Runner.build_dataloader(
        dict(
            dataset=dataset,
            batch_size=args.batch_size,
            num_workers=args.workers,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='mmlgd.default_collate'),
        )
    )


def _is_start(source: str) -> bool:
    return source == 'none' or ('://' in source and not source.startswith('http'))


if __name__ == '__main__':
    MMLogger.get_current_instance().setLevel('WARNING')  # initialising a backbone logs each of its weights
    run_tool(main)
