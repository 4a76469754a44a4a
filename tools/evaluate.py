r"""What is a student worth? Zero-shot, nearest neighbours and linear probes on frozen features, side by side.

    python tools/evaluate.py work_dirs/RUN/epoch_200.pth --data /my/data --names /my/names.txt
    python tools/evaluate.py --data /my/data --labels 1 5 100% --seeds 0 1 2 --teacher \
        --students lgd=work_dirs/RUN/epoch_200.pth random=none imagenet=torchvision://resnet18

DATA holds train/CLASS/* and val/CLASS/*, or train/* and val/* with train.txt and val.txt (`file label` lines). Each
picture is read once, for all students, without augmentation; all else works on the features. The labels of a probe are
those that dataset_converters/label_subset.py draws. The table is printed, and written as table.md and table.json.
"""

import argparse
import json
import os
import re
import statistics
import time
from pathlib import Path
from typing import NamedTuple, Optional

import torch
from dataset_converters.label_subset import PICTURES, choose
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpretrain.datasets import CustomDataset
from torch import Tensor

from mmlgd.apis.inferencer import DEFAULT_PIPELINE
from mmlgd.errors import ConfigError, MissingFileError, run_tool
from mmlgd.evaluation import (
    Features,
    FrozenModel,
    extract,
    knn_accuracy,
    linear_accuracy,
    live_teacher,
    load_frozen,
    load_teacher,
    pipeline_of,
    top1,
    unit_rows,
)
from mmlgd.text import load_vocabulary


class Split(NamedTuple):
    """The labelled pictures of ``train`` or ``val``.

    Attributes:
        dataset (CustomDataset): Ready to be read.
        files (List[str]): Relative to the folder.
        labels (Tensor): (N,).
        folders (List[str] | None): Names of the class folders, if there are any.
    """

    dataset: CustomDataset
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
        '--teacher-options', nargs='+', action=DictAction, help='changes to its config, as pretrained=FILE'
    )
    parser.add_argument(
        '--backbone', metavar='CONFIG', help='of none and torchvision://; default: of the first student'
    )
    parser.add_argument('--size', type=int, help='pixels; default: as in the evaluation of the first student')
    parser.add_argument(
        '--labels',
        nargs='+',
        type=share,
        default=['1%', '10%', '100%'],
        help='for each a linear probe: a share of the training pictures, as 10%%, or a number for each class',
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], help='of the draws of labels')
    parser.add_argument('--k', type=int, default=20, help='nearest neighbours; default: %(default)s')
    parser.add_argument('--c', type=float, default=0.01, help='inverse penalty of the probe; default: %(default)s')
    parser.add_argument('--batch-size', type=int, default=128)
    parser.add_argument('--workers', type=int, default=2, help='processes that read pictures; default: %(default)s')
    parser.add_argument('--out', type=Path, help='folder of the table; default: work_dirs/evaluate_DATA')
    args = parser.parse_args(argv)
    if args.checkpoint:
        args.students.insert(0, f'student={args.checkpoint}')
    if not args.students:
        parser.error('nothing to evaluate: give a checkpoint, or --students NAME=SOURCE')
    if bad := [student for student in args.students if '=' not in student]:
        parser.error(f'--students takes NAME=SOURCE, got {bad[0]!r}; for example random=none')
    args.students = dict(student.split('=', 1) for student in args.students)
    args.out = args.out or Path('work_dirs') / f'evaluate_{args.data.resolve().name}'
    return args


def share(text: str) -> str:
    """Check one of ``--labels``."""
    if not re.fullmatch(r'\d+(\.\d+)?%|[1-9]\d*', text):
        raise argparse.ArgumentTypeError(f'expected a share as 10% or a number of pictures as 5, got {text!r}')
    return text


def load_models(args: argparse.Namespace) -> dict[str, FrozenModel]:
    """Load all students, and the teacher if it is asked for.

    Args:
        args (argparse.Namespace): Of :func:`parse_args`.

    Returns:
        Dict[str, FrozenModel]: By name, in the order of the command line.
    """
    models: dict[str, FrozenModel] = {}
    backbone = Config.fromfile(args.backbone).model.backbone if args.backbone else None
    teacher = None
    # Those that say what they are come first: the others may take their backbone from them.
    for name in sorted(args.students, key=lambda name: _is_start(args.students[name])):
        torch.manual_seed(0)  # a random start is the same in every call
        models[name] = load_frozen(args.students[name], args.names, backbone, teacher or args.teacher_options)
        config = models[name].config
        if config and backbone is None:
            backbone = {key: value for key, value in config['model']['backbone'].items() if key != 'init_cfg'}
        if config and args.teacher_options and teacher is None and 'teacher' in config['model']:
            teacher = live_teacher(config, args.teacher_options)
    models = {name: models[name] for name in args.students}
    if args.teacher:
        student = next((model for model in models.values() if model.bank is not None), next(iter(models.values())))
        models['teacher'] = load_teacher(student, teacher)
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
    """
    if not (data / split).is_dir():
        raise MissingFileError(f'Expected labelled pictures in {data / split}/CLASS/*, and there is no such folder.')
    listed = (data / f'{split}.txt').is_file()
    dataset = CustomDataset(
        data_root=str(data),
        data_prefix=split,
        ann_file=f'{split}.txt' if listed else '',
        extensions=PICTURES,
        pipeline=pipeline,
    )
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    files = [os.path.relpath(info['img_path'], data / split) for info in infos]
    if outside := [file for file in files if file.startswith(os.pardir)]:
        raise ConfigError(f'{data / split}.txt names {outside[0]!r}, which is not in {data / split}. Name those in it.')
    folders = None if listed else list(dataset.CLASSES)
    return Split(dataset, files, torch.tensor([int(info['gt_label']) for info in infos]), folders)


def drawn(split: Split, labels: str, seed: int) -> list[int]:
    """Draw the labelled pictures of a probe, as label_subset.py does.

    Args:
        split (Split): The training pictures.
        labels (str): A share as ``'10%'`` or a number for each class.
        seed (int): Seed.

    Returns:
        List[int]: Their positions.
    """
    position = {file: i for i, file in enumerate(split.files)}
    how = dict(percent=float(labels[:-1])) if labels.endswith('%') else dict(per_class=int(labels))
    chosen = []
    for label in split.labels.unique().tolist():
        name = split.folders[label] if split.folders else str(label)
        files = [file for file, its in zip(split.files, split.labels.tolist()) if its == label]
        chosen += [position[file] for file in choose(name, files, seed=seed, **how)]
    return chosen


def check_classes(args: argparse.Namespace, models: dict[str, FrozenModel], train: Split, val: Split) -> bool:
    """See that both splits, and the class names, speak of the same classes.

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
    zero_shot: bool,
) -> dict[str, dict]:
    """Measure all models.

    Args:
        args (argparse.Namespace): Of :func:`parse_args`.
        models (Dict[str, FrozenModel]): Of :func:`load_models`.
        train (Split): Training pictures.
        val (Split): Pictures of evaluation.
        features (Dict[str, Tuple[Features, Features]]): Of both, by model.
        zero_shot (bool): Whether there is a name for each label.

    Returns:
        Dict[str, dict]: By model, ``zero_shot`` (None if it has no names), ``own_head`` (None if it is no linear
        classifier of these classes), ``knn`` and ``linear``, the latter by labels and seed; in per cent.
    """
    draws = {
        labels: {seed: drawn(train, labels, seed) for seed in (args.seeds[:1] if labels == '100%' else args.seeds)}
        for labels in args.labels
    }
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
        result['linear'] = {
            labels: {
                str(seed): linear_accuracy(
                    seen.features[chosen], train.labels[chosen], unseen.features, val.labels, args.c
                )
                for seed, chosen in seeds.items()
            }
            for labels, seeds in draws.items()
        }
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
    init_default_scope('mmpretrain')
    if args.names:
        args.names = load_vocabulary(args.names)
    started = time.time()
    models = load_models(args)
    config = next((model.config for model in models.values() if model.config), None)
    pipeline = pipeline_of(None if args.size else config, sized(args.size or 224))
    train, val = (load_split(args.data, split, pipeline) for split in ('train', 'val'))
    zero_shot = check_classes(args, models, train, val)

    models = {name: model.to(get_device()) for name, model in models.items()}
    print(f'Features of {len(train.files)} + {len(val.files)} pictures for {", ".join(models)} ...', flush=True)
    seen, unseen = (
        extract(
            models,
            Runner.build_dataloader(
                dict(
                    dataset=split.dataset,
                    batch_size=args.batch_size,
                    num_workers=args.workers,
                    sampler=dict(type='DefaultSampler', shuffle=False),
                    collate_fn=dict(type='mmlgd.default_collate'),
                )
            ),
        )
        for split in (train, val)
    )
    extracted = time.time()
    features = {name: (seen[name], unseen[name]) for name in models}
    results = evaluate(args, models, train, val, features, zero_shot)

    text = table(results, args)
    if any(result['own_head'] is not None for result in results.values()):
        text += '\n\n\\* not zero-shot: the accuracy of its own head, which was trained with labels.'
    report = dict(
        data=str(args.data),
        pictures=dict(train=len(train.files), val=len(val.files)),
        names=args.names,
        pipeline=pipeline,
        k=args.k,
        c=args.c,
        seconds=dict(features=round(extracted - started, 1), probes=round(time.time() - extracted, 1)),
        results=results,
    )
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / 'table.md').write_text(text + '\n')
    (args.out / 'table.json').write_text(json.dumps(report, indent=1, ensure_ascii=False) + '\n')
    print(
        f'\n{text}\n\nTop-1 in per cent; mean ± spread over draws of labels. Also in {args.out}: table.md, table.json.'
    )
    return report


def sized(size: int) -> list[dict]:
    """Scale the pipeline of evaluation (256, then the middle 224) to another size."""
    resize, crop, *rest = DEFAULT_PIPELINE
    return [dict(resize, scale=size * 8 // 7), dict(crop, crop_size=size), *rest]


def _is_start(source: str) -> bool:
    return source == 'none' or ('://' in source and not source.startswith('http'))


if __name__ == '__main__':
    MMLogger.get_current_instance().setLevel('WARNING')  # initialising a backbone logs each of its weights
    run_tool(main)
