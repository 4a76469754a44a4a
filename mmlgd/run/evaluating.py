"""Evaluation of students: zero-shot, nearest neighbours and linear probes on frozen features, side by side."""

import json
import logging
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Union

from mmengine.registry import DefaultScope

from mmlgd.errors import ConfigError, shown
from mmlgd.utils.files import read_small, require_writable, write_whole
from mmlgd.utils.validation import above_zero, listed, require

if TYPE_CHECKING:
    from mmlgd.student import Student

# Large packages are imported inside functions: the help of `mmlgd evaluate`, which reads this module, must not wait for
# them.

logger = logging.getLogger(__name__)


def evaluate(
    checkpoint: Union[str, Path, 'Student', None] = None,
    *,
    data: Union[str, Path],
    train: str = 'train',
    val: str = 'val',
    students: Union[list[str], dict, None] = None,
    names: Union[list[str], str, Path, dict, None] = None,
    synonyms: Union[list[str], str, Path, dict, None] = None,
    teacher: bool = False,
    teacher_options: Optional[dict] = None,
    backbone: Union[str, Path, None] = None,
    size: Optional[int] = None,
    labels: list[str] = ('1%', '10%', '100%'),
    seeds: list[int] = (0, 1, 2),
    k: int = 20,
    c: Optional[float] = None,
    batch_size: int = 128,
    workers: int = 2,
    out: Union[str, Path, None] = None,
) -> dict:
    """Compare students on labelled images: zero-shot, nearest neighbours and linear probes on frozen features.

    Images are prepared for each student as in the evaluation of its own training, at its own size, without
    augmentation; everything else works on the features. Images are never skipped: a score over a different set would be
    misleading.

    Args:
        checkpoint (str | Path | Student, optional): A checkpoint, ``none`` or ``torchvision://NAME``; its row is called
            student. In Python it can also be a :class:`~mmlgd.Student`. Defaults to None: ``students`` alone.
        data (str | Path): Folder with train/CLASS/* and val/CLASS/*, or train/* and val/* with train.txt and val.txt
            (a line is ``FILE LABEL``, labels from 0).
        train (str): Folder in data, or any other, with the images that neighbours and probes may read. Defaults to
            train.
        val (str): Likewise, with the images that are evaluated: for example test or validation. Defaults to val.
        students (List[str] | dict, optional): NAME=SOURCE of more students, with a source as CHECKPOINT above. In
            Python it can also be a dict of sources or of :class:`~mmlgd.Student`. Defaults to None.
        names (List[str] | str | Path | dict, optional): Class names, those of the class folders in any
            order, or others in their sorted order: a text file, a known set, or the names themselves. Defaults to None:
            the names of training.
        synonyms (List[str] | str | Path | dict, optional): Other names of the same classes, in the same order: the
            zero-shot accuracy with them is shown, too, and the drop. Defaults to None.
        teacher (bool): Evaluate the first student's teacher as well. Defaults to False.
        teacher_options (dict, optional): Changes to the configs of the teachers, such as pretrained=FILE. Defaults to
            None.
        backbone (str | Path, optional): Config with the backbone of ``none`` and ``torchvision://``. Defaults to the
            backbone of the first student.
        size (int, optional): Image side in pixels for all students, 8 to 4096. Defaults to each student's own size.
        labels (List[str]): Labelled images of the linear probes, one probe per value: a share of the training images
            such as 10%, or a number per class. Defaults to 1% 10% 100%.
        seeds (List[int]): Seeds of the draws of labels. Defaults to 0 1 2.
        k (int): Number of nearest neighbours. Defaults to 20.
        c (float, optional): Inverse penalty of the probes, above 0. By default, each probe chooses its own by
            cross-validation on its labelled images.
        batch_size (int): Images per batch. Defaults to 128.
        workers (int): Processes that read images. Defaults to 2.
        out (str | Path, optional): Folder for table.md and table.json. Defaults to work_dirs/evaluate_DATA.

    Returns:
        dict: The content of table.json. ``results`` has for each model ``zero_shot`` (None without names), ``synonyms``
        (zero-shot with synonyms; None without), ``own_head`` (None if it is not a linear classifier of these classes),
        ``knn`` and ``linear`` (by labels and seed), in per cent; ``c`` is the inverse penalty of each probe. ``notes``
        says what is missing in the table, and why, and how many classes have synonyms.
        :func:`~mmlgd.evaluation.as_markdown` formats it as a table.

    Raises:
        ConfigError: An option is out of its range; data, names and students do not match; or scikit-learn is not
            installed.
        MissingFileError: A file or folder does not exist.
        CheckpointError: A checkpoint is truncated, or does not fit.

    Examples:
        >>> import mmlgd
        >>> report = mmlgd.evaluate('epoch_200.pth', data='my/data', names='my/names.txt')  # doctest: +SKIP
        >>> report['results']['student']['zero_shot']  # doctest: +SKIP
        71.3
    """
    from mmengine.device import get_device

    from mmlgd.datasets.folder import require_outside
    from mmlgd.evaluation.figures import as_markdown, measure
    from mmlgd.evaluation.frozen import Features, extract
    from mmlgd.evaluation.lineup import alike, load_models, pipelines_of, reader
    from mmlgd.evaluation.options import RANGES, require_once, share, students_of
    from mmlgd.evaluation.splits import check_classes, check_synonyms, drawn, load_split, order_of
    from mmlgd.student import Student
    from mmlgd.text import load_vocabulary
    from mmlgd.utils.bar import shown_in_bar
    from mmlgd.utils.seeds import seed_number, seeded

    data, out = Path(data), Path(out or Path('work_dirs') / f'evaluate_{Path(data).resolve().name}')
    students = students_of(checkpoint, students, teacher)
    options = dict(size=size, k=k, batch_size=batch_size, workers=workers)
    size, k, batch_size, workers = (
        RANGES[name](value) if value is not None else None for name, value in options.items()
    )
    labels, seeds = [share(one) for one in listed(labels)], [seed_number(seed) for seed in listed(seeds)]
    c = None if c is None else above_zero(c)
    require_once(seeds=seeds, **({'labels': labels} if labels else {}))  # without labels there are no probes
    require(data / train != data / val, f'--train and --val are both {train}: give another folder to evaluate on.')
    for split in (train, val):
        require_outside(out, data / split, 'The table', '--out')
    if find_spec('sklearn') is None:  # before any work
        raise ConfigError('The linear probes need scikit-learn: `pip install "mmlgd[evaluation]"`.')
    require_writable(out)
    _refuse_other_data(out, data)
    names, synonyms = (None if one is None else load_vocabulary(one) for one in (names, synonyms))
    if names is not None and synonyms is not None:  # before models are built
        check_synonyms([names], synonyms)

    started = time.time()
    # Data loaders draw numbers: the caller's generators stay as they are.
    with seeded(0), DefaultScope.overwrite_default_scope('mmpretrain'):
        models = load_models(students, names, backbone, teacher, teacher_options, synonyms)
        pipelines = pipelines_of(models, size)
        known, asked = (load_split(data, split, next(iter(pipelines.values()))) for split in (train, val))
        check_classes(known, asked)
        orders = {
            name: order_of(model.class_names, names is not None, known, asked)
            for name, model in models.items()
            if model.class_names
        }
        notes = list(dict.fromkeys(note for _, note in orders.values() if note))
        if synonyms is not None:
            notes.append(check_synonyms([models[name].class_names for name in orders], synonyms))
        most = len(known.files)
        require(k <= most, f'--k {k} nearest neighbours are more than the {most} training images.')
        draws = {one: {s: drawn(known, one, s) for s in (seeds[:1] if one == '100%' else seeds)} for one in labels}
        models = {name: model.to(get_device()) for name, model in models.items()}
        features: dict[str, tuple[Features, Features]] = {}
        for group in alike(pipelines):
            logger.info('Features of %d + %d images for %s ...', most, len(asked.files), ', '.join(group))
            seen, unseen = (
                extract({name: models[name] for name in group}, shown_in_bar(loader, ', '.join(group)))
                for loader in (reader(split, pipelines[group[0]], batch_size, workers) for split in (known, asked))
            )
            features.update((name, (seen[name], unseen[name])) for name in group)
    extracted = time.time()
    report = dict(
        data=str(data),
        out=str(out),
        folders=dict(train=train, val=val),
        images=dict(train=len(known.files), val=len(asked.files)),
        names=names,
        synonyms=synonyms,
        pipelines=pipelines,
        k=k,
        c=c,
        size=size,
        backbone=backbone and str(backbone),
        teacher_options=[f'{key}={value}' for key, value in (teacher_options or {}).items()],
        notes=notes,
        seconds=dict(features=round(extracted - started, 1)),
        results={},
    )
    for name, model in models.items():
        source = students.get(name, 'teacher')
        source = str(source.source if isinstance(source, Student) else source)
        order, _ = orders.get(name, (None, ''))
        logger.info('Neighbours and %d probes of %s ...', sum(map(len, draws.values())), name)
        report['results'][name] = dict(
            source=source,
            **measure(model, *features[name], known, asked, draws, k, c, order),
        )
    report['seconds']['probes'] = round(time.time() - extracted, 1)
    out.mkdir(parents=True, exist_ok=True)
    for file, text in (
        ('table.md', as_markdown(report)),
        ('table.json', json.dumps(report, indent=1, ensure_ascii=False)),
    ):
        # A path may not be UTF-8; JSON keeps such a byte as an escape.
        write_whole(out / file, f'{text}\n'.encode(errors='backslashreplace'))
    return report


def _refuse_other_data(out: Path, data: Path) -> None:
    """Keep the table of another folder; work_dirs/evaluate_data may be that of any folder called data."""
    file = out / 'table.json'
    try:
        there = json.loads(read_small(file))['data'] if file.is_file() else str(data)
    except (ValueError, TypeError, KeyError):
        return  # no table of ours that could be lost
    if Path(there).resolve() != data.resolve():
        raise ConfigError(
            f'{shown(out)} has the table of {shown(there)}, not of {shown(data)}: give another folder by --out.'
        )
