"""A detector or a segmentor from a folder of data and a student: an ordinary config, printed and run."""

import json
import shlex
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

from mmlgd.errors import shown

from .child import failure, run
from .fitting import chosen_size, median_size, size_text, tiny_text
from .inputs import path_of

# Large packages are imported inside functions: the help of the verbs, which read this module, must not wait for them.

HEAD = '# Written by `mmlgd {}`. An ordinary config: edit it, train it by `mmlgd train FILE --student CHECKPOINT`.\n'
# The templates, without and with a GPU.
DETECTORS = (
    'small/detector_boxes.py',
    'benchmarks/mmdet/faster-rcnn_resnet18_fpn_1xb8-60e_coco-format.py',
)
SEGMENTORS = (
    'small/segmentor_masks.py',
    'benchmarks/mmseg/deeplabv3plus_resnet18_1xb8-8k_masks-512x512.py',
)
_DRAWN = ' (drawn: frames of one video may be in both)'
_MODEL = dict(detect='detector', segment='segmentor')
_LIBRARY = dict(detect='mmdet', segment='mmseg')


@dataclass
class DownstreamResult:
    """The result of ``mmlgd detect`` or ``mmlgd segment``.

    Attributes:
        config (Path): Its config, an ordinary config file.
        work_dir (Path): Folder of config, logs and checkpoints.
        command (List[str]): The command that trains it.
        comparison (List[str]): The command that compares it with a random start; empty for a random start.
        checkpoint (Path, optional): The last checkpoint. None after a dry run.
    """

    config: Path
    work_dir: Path
    command: list[str]
    comparison: list[str]
    checkpoint: Optional[Path] = None


def detect(
    *,
    data: Path,
    student: str,
    names: Optional[Union[list[str], str, Path]] = None,
    size: Optional[int] = None,
    seed: int = 0,
    work_dir: Optional[Path] = None,
    cfg_options: Optional[dict[str, Any]] = None,
    resume: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
) -> DownstreamResult:
    """Train a detector on a student, from a folder of images and boxes.

    Boxes are read in the formats of COCO, VOC and YOLO. The folder defines the class names, the images for training and
    validation (a fifth is drawn if it has no parts) and their size. An ordinary config of mmdetection is written on
    top of one of ours, printed, and trained as by `mmlgd train`. With a GPU it is Faster R-CNN, else a small ATSS.

    Args:
        data (Path): Folder of images and boxes.
        student (str): Its backbone: a checkpoint of pre-training (file or URL), or none for a random ResNet-18.
        names (List[str] | str | Path, optional): Class names in the order of the labels: a text file, a known set, or
            the names themselves. Defaults to None: those of the data.
        size (int, optional): Longer side of the images in pixels, from 32 to 4096. Defaults to that of the images, at
            most 1333, or 256 without a GPU.
        seed (int): Seed of the split and of the training, from 0 to 4294967295. Defaults to 0.
        work_dir (Path, optional): Folder for config, log and checkpoints. Defaults to work_dirs/detect_DATA.
        cfg_options (dict, optional): Changes to the config, ``key.subkey=value``. Defaults to None.
        resume (bool): Continue from the last complete checkpoint in the work dir. Defaults to False.
        overwrite (bool): Replace another run in the work dir, or an earlier training of this one. Defaults to False.
        dry_run (bool): Write and print the config, and stop. Defaults to False.

    Returns:
        DownstreamResult: Paths, the command, and the command of the comparison with a random start.

    Raises:
        MMLGDError: An argument or the data cannot be used; nothing has been written in this case.
        RunError: The training failed, or was stopped.

    Examples:
        >>> import mmlgd
        >>> mmlgd.detect(data='my/boxes', student='epoch_200.pth').checkpoint  # doctest: +SKIP
        PosixPath('work_dirs/detect_boxes/iter_600.pth')
    """
    from mmlgd.datasets.boxes import find_boxes
    from mmlgd.datasets.boxes.sound import boxes_of_names
    from mmlgd.utils.files import digest_of

    data, work_dir = _places('detect', data, work_dir)
    found = find_boxes(data, _names(names), _seed(seed))
    counts = {part: len(told['images']) for part, told in found.parts.items()}
    image_size = chosen_size(median_size(found.parts), size, cfg_options)
    reasons = [
        f'{found.kind} boxes in {shown(data)}: {counts["train"]} images to train, {counts["val"]} to validate'
        f'{_DRAWN if found.is_split else ""}; {_told(found.names)}',
        size_text(median_size(found.parts), image_size),
    ]
    counts = boxes_of_names(found.parts['train'])
    reasons.append(f'Boxes to train: {", ".join(f"{name} {count:,}" for name, count in counts.items())}.')
    reasons += found.notes
    if tiny := tiny_text(found.parts, image_size):
        reasons.append(tiny)
    written = {part: work_dir.resolve() / 'annotations' / f'{part}.json' for part in ('train', 'val')}
    settings: dict[str, Any] = dict(data_root=str(data.resolve()), names=found.names, image_size=image_size)
    for part in ('train', 'val'):
        place = found.files.get(part) or str(written[part])
        dataset = dict(ann_file=place, data_prefix=dict(img=found.folders.get(part, '')))
        settings[f'{part}_dataloader'] = dict(dataset=dataset)
    settings['randomness'] = dict(seed=seed)
    text = _text('detect', DETECTORS, settings, student, cfg_options)
    files = {written[part]: json.dumps(told) for part, told in found.parts.items() if part not in found.files}
    for part, file in found.files.items():  # read in place, so that a change of it shows here
        files[written[part].with_suffix('.sha256')] = digest_of(data / file)
    return _train('detect', text, files, reasons, work_dir, student, 'coco/bbox_mAP', resume, overwrite, dry_run)


def segment(
    *,
    data: Path,
    student: str,
    names: Optional[Union[list[str], str, Path]] = None,
    size: Optional[int] = None,
    seed: int = 0,
    work_dir: Optional[Path] = None,
    cfg_options: Optional[dict[str, Any]] = None,
    resume: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
) -> DownstreamResult:
    """Train a segmentor on a student, from a folder of images and masks.

    A mask has one class index for each pixel. The folder defines the images for training and validation (a fifth is
    drawn if it has no parts), their size, and the value of pixels without a label. An ordinary config of mmsegmentation
    is written on top of one of ours, printed, and trained as by `mmlgd train`. With a GPU it is DeepLabV3+, else a
    small FPN head.

    Args:
        data (Path): Folder of images and masks, such as images/train/a.jpg and annotations/train/a.png.
        student (str): Its backbone: a checkpoint of pre-training (file or URL), or none for a random ResNet-18.
        names (List[str] | str | Path, optional): Class names; value k of a mask is name k, from 0. Defaults to None:
            those in classes.txt, names.txt or labels.txt of the data.
        size (int, optional): Longer side of the images in pixels, from 32 to 4096. Defaults to that of the images, at
            most 1333, or 256 without a GPU.
        seed (int): Seed of the split and of the training, from 0 to 4294967295. Defaults to 0.
        work_dir (Path, optional): Folder for config, log and checkpoints. Defaults to work_dirs/segment_DATA.
        cfg_options (dict, optional): Changes to the config, ``key.subkey=value``. Defaults to None.
        resume (bool): Continue from the last complete checkpoint in the work dir. Defaults to False.
        overwrite (bool): Replace another run in the work dir, or an earlier training of this one. Defaults to False.
        dry_run (bool): Write and print the config, and stop. Defaults to False.

    Returns:
        DownstreamResult: Paths, the command, and the command of the comparison with a random start.

    Raises:
        MMLGDError: An argument or the data cannot be used; nothing has been written in this case.
        RunError: The training failed, or was stopped.

    Examples:
        >>> import mmlgd
        >>> mmlgd.segment(data='my/streets', student='epoch_200.pth').checkpoint  # doctest: +SKIP
        PosixPath('work_dirs/segment_streets/iter_600.pth')
    """
    from mmengine.config import Config

    from mmlgd.datasets.masks import find_masks

    from .digests import digests_of_labels

    data, work_dir = _places('segment', data, work_dir)
    stated = {key: cfg_options[key] for key in ('ignore_index', 'reduce_zero_label') if key in (cfg_options or {})}
    found = find_masks(data, _names(names), _seed(seed), **stated)
    image_size = chosen_size(found.size, size, cfg_options)
    reasons = [
        f'Masks in {shown(data)}: {found.counts["train"]} images to train, {found.counts["val"]} to validate'
        f'{_DRAWN if found.is_split else ""}; {_told(found.names)}',
        size_text(found.size, image_size),
    ]
    reasons += found.notes
    lists = {part: work_dir.resolve() / 'annotations' / f'{part}.txt' for part in found.listed}
    settings: dict[str, Any] = dict(data_root=str(data.resolve()), names=found.names, image_size=image_size)
    settings.update(img_suffix=found.suffixes[0], seg_map_suffix=found.suffixes[1], ignore_index=found.ignore_index)
    for part in ('train', 'val'):
        folders = dict(img_path=found.images[part], seg_map_path=found.masks[part])
        settings[f'{part}_dataloader'] = dict(dataset=dict(data_prefix=folders, ann_file=str(lists[part])))
    settings['randomness'] = dict(seed=seed)
    text = _text('segment', SEGMENTORS, settings, student, cfg_options)
    files = {lists[part]: '\n'.join(stems) + '\n' for part, stems in found.listed.items()}
    loaders = {
        loader: dict(dataset=dict(settings[loader]['dataset'], data_root=settings['data_root']))
        for loader in ('train_dataloader', 'val_dataloader')
    }
    digests = digests_of_labels(Config(loaders)).items()
    files[work_dir.resolve() / 'annotations/masks.sha256'] = '\n'.join(one for path, one in digests if path[-1] == '*')
    return _train('segment', text, files, reasons, work_dir, student, 'mIoU', resume, overwrite, dry_run)


def _places(verb: str, data: Path, work_dir: Optional[Path]) -> tuple[Path, Path]:
    from mmlgd.datasets.folder import require_outside
    from mmlgd.utils.configs import require_library

    require_library(_LIBRARY[verb])
    data = path_of(data)
    work_dir = Path('work_dirs') / f'{verb}_{data.resolve().name}' if work_dir is None else path_of(work_dir)
    require_outside(work_dir, data, 'The work dir', '--work-dir')
    return data, work_dir


def _names(names: Optional[Union[list[str], str, Path]]) -> Optional[list[str]]:
    from mmlgd.text import load_vocabulary

    return None if names is None else load_vocabulary(names)


def _seed(seed: int) -> int:
    from mmlgd.utils.seeds import seed_number

    return seed_number(seed)


def _told(names: list[str]) -> str:
    return f'{len(names)} class names: {", ".join(names[:8])}{", ..." if len(names) > 8 else "."}'


def _text(
    verb: str, templates: tuple[str, str], settings: dict, student: str, cfg_options: Optional[dict[str, Any]]
) -> str:
    import torch

    from .written import config_text

    has_card = torch.cuda.is_available()
    if has_card:  # those templates have a test set of their own, for the tools of their library
        settings = {**settings, 'test_dataloader': settings['val_dataloader']}
    if student != 'none' and not student.startswith('torchvision://'):
        settings = {**settings, **_with_student(verb, student, has_card)}
    return config_text(templates[has_card], settings, cfg_options or {}, HEAD.format(verb))


def _with_student(verb: str, student: str, has_card: bool) -> dict:
    """Put the student's backbone into a template, and its channels into what reads them."""
    from .stages import student_stages

    backbone, channels = student_stages(student)
    if verb == 'detect':
        heads = dict(neck=dict(in_channels=channels))
    elif has_card:
        heads = dict(
            decode_head=dict(in_channels=channels[3], c1_in_channels=channels[0]),
            auxiliary_head=dict(in_channels=channels[2]),
        )
    else:
        heads = dict(decode_head=dict(in_channels=channels))
    if has_card:
        return dict(model=dict(backbone=dict(backbone, _delete_=True), **heads))
    from mmlgd.models.zero_shot import IMAGENET_RGB

    statistics = {key: IMAGENET_RGB[key] for key in ('mean', 'std')}
    model = dict(backbone=backbone, data_preprocessor=statistics, **heads)
    return dict(arch='student', archs=dict(_delete_=True, student=dict(model=model)))


def _refuse_other_data(work_dir: Path, file: Path) -> None:
    """Refuse to draw parts anew once they were trained on: images of training would be among those of validation."""
    from mmlgd.checkpoints.resume import last_whole_checkpoint

    from .written import OtherConfigError

    if (checkpoint := last_whole_checkpoint(work_dir, 'train anew by --overwrite')) is not None:
        raise OtherConfigError(
            f'{shown(file)} is of the images or labels that {shown(checkpoint)} was trained with, and the data have '
            f'changed since then. Give another --work-dir; or train anew by --overwrite, which replaces both.'
        )


def _train(
    verb: str,
    text: str,
    files: dict[Path, str],
    reasons: list[str],
    work_dir: Path,
    student: str,
    metric: str,
    resume: bool,
    overwrite: bool,
    dry_run: bool,
) -> DownstreamResult:
    """Write the config, print it, and train it in a process of its own, by ``mmlgd train``."""
    from mmlgd.checkpoints.last import begin_anew
    from mmlgd.checkpoints.resume import last_whole_checkpoint
    from mmlgd.utils.files import own_folder, sole_writer, write_whole

    from .written import refuse_both, refuse_trained, written_config

    refuse_both(resume, overwrite)
    options = ['--student', student, *(['--resume'] if resume else [])]
    contents = {file: content.encode() for file, content in files.items()}
    other = next((file for file, content in contents.items() if file.is_file() and file.read_bytes() != content), None)
    if other and not overwrite:
        _refuse_other_data(work_dir, other)
    with written_config(
        work_dir, text, overwrite, lambda file: ['mmlgd', 'train', str(file), *options], verb
    ) as config:
        if not (resume or overwrite or dry_run):
            refuse_trained(work_dir)
        # Not while a run is there: it would go on with other images than it began with.
        with sole_writer(work_dir) if other else nullcontext():
            if other:
                begin_anew(work_dir)
            for file, content in contents.items():
                own_folder(file.parent)
                write_whole(file, content)
        command = [sys.executable, '-m', 'mmlgd.cli', 'train', str(config), *options]
        starts = ['--starts', 'random=none', f'student={student}', '--seeds', '0', '1', '2']
        comparison = [] if student == 'none' else ['mmlgd', 'compare', str(config), '--metric', metric, *starts]
        result = DownstreamResult(config, work_dir, command, comparison)
        print('\n'.join([*reasons, '', f'{shown(config)}:', '', config.read_text(encoding='utf-8')]))
        print(f'$ {(told := shown(shlex.join(command)))}', flush=True)
        if not dry_run:
            if code := run(command):
                raise failure(told, code)
            result.checkpoint = last_whole_checkpoint(work_dir)
            again = ['mmlgd', 'test', str(config), str(result.checkpoint), '--show-dir', str(work_dir / 'shown')]
            print(f'\nThe {_MODEL[verb]}: {shown(result.checkpoint)}\nEvaluate it, and draw what it predicts:')
            print(f'  {shown(shlex.join(again))}')
        if student != 'none':
            print(f'\nDoes the student help? Compare it with a random start:\n  {shown(shlex.join(comparison))}')
    return result
