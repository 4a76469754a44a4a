"""A teacher's answers to images before a training: a student cannot learn what its teacher does not know."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Optional, Union

from mmlgd.utils.files import require_writable, write_whole
from mmlgd.utils.validation import whole

from .answering import embed_images
from .inputs import path_of, teacher_settings, vocabulary_of
from .recipes import CONSE_TEMPERATURE, TEMPERATURE, has_conse, usual_templates
from .watched import class_folders, labels_of

# Large packages are imported inside functions: the help of `mmlgd teacher`, which reads this module, must not wait for
# them.

_NEARLY_NEVER = 0.1  # of the images that a name would have if all were equally frequent


@dataclass(frozen=True)
class TeacherReport:
    """What a teacher answers for images.

    Attributes:
        out (Path): Folder of examples.png, unsure.png and answers.json.
        teacher (str): Identity of the teacher.
        names (List[str]): The K names.
        images (int): Number of images that were looked at.
        there (int): Number of images in the folder.
        answers (Dict[str, int]): Images that are nearest to each name.
        told_apart (float): How many of the names the teacher tells apart on these images, from 1 to K:
            :func:`~mmlgd.engine.checks.teacher_hook.names_told_apart`.
        is_few (bool): Whether these are so few that a student can hardly learn the names.
        accuracy (float | None): Right answers in per cent; None without labels.
        right (Dict[str, float]): Of the answers with each name, those that are right, in per cent; names without
            answers are left out. Empty without labels.
        found (Dict[str, float]): Of the images of each name, those that got it, in per cent; names without images are
            left out. Empty without labels.
        seconds (float): Duration of the teacher's pass.
    """

    out: Path
    teacher: str
    names: list[str]
    images: int
    there: int
    answers: dict[str, int]
    told_apart: float
    is_few: bool
    accuracy: Optional[float]
    right: dict[str, float]
    found: dict[str, float]
    seconds: float

    @property
    def rare(self) -> list[str]:
        """List[str]: Names with less than a tenth of the images that each would have if all were equally frequent."""
        least = _NEARLY_NEVER * self.images / len(self.names)
        return [name for name, count in self.answers.items() if count < least]


def ask_teacher(
    *,
    images: Path,
    names: Union[list[str], str, Path, dict],
    teacher: str = 'RN50:openai',
    size: Optional[int] = None,
    templates: Union[list[str], str, None] = None,
    max_images: int = 1000,
    out: Optional[Path] = None,
) -> TeacherReport:
    """Show what a teacher answers for your images, before a training.

    A student cannot learn what its teacher does not know. The report has the number of images nearest to each name,
    names that are nearly never nearest, and sheets of images: those that the teacher is surest of for each name, and
    those that it is least sure of. If the images lie in a class folder for each name, it also says how often the
    teacher is right.

    Args:
        images (Path): Folder of images; sub-folders count. Or tar shards, as for `mmlgd pretrain`.
        names (List[str] | str | Path | dict): Class names, as for `mmlgd pretrain`.
        teacher (str): The teacher, as for `mmlgd pretrain`. In Python it can also be a config. Defaults to RN50:openai.
        size (int, optional): Side of the images in pixels, from 32 to 4096, as in the training. Defaults to the
            teacher's own.
        templates (List[str] | str, optional): Prompt templates: a known set, or sentences with one {} each. By default
            those of `mmlgd pretrain`: plain for conse, else openai-imagenet-80.
        max_images (int): Maximum number of images, evenly spread over all. Defaults to 1000.
        out (Path, optional): Folder for the report. Defaults to work_dirs/teacher_ABOVE_IMAGES, after the
            folder of images and the one above it.

    Returns:
        TeacherReport: What the files show.

    Raises:
        MMLGDError: The images, the names, the templates or the teacher cannot be used.
        WriteError: The folder is not writable; this is checked first.

    Examples:
        >>> import mmlgd
        >>> report = mmlgd.ask_teacher(images='photos', names=['cat', 'dog'], teacher='conse')  # doctest: +SKIP
        >>> report.answers  # doctest: +SKIP
        {'cat': 312, 'dog': 455}
    """
    from mmlgd.datasets.shards import are_shards, name_of, refuse_remote

    refuse_remote(images)
    images, max_images = path_of(images), whole('images', 1, 10**6)(max_images)
    if size is not None:
        size = whole('--size', 32, 4096)(size)
    names_of_folders = filter(None, (images.resolve().parent.name, name_of(images)))
    out = path_of(out or Path('work_dirs') / '_'.join(['teacher', *names_of_folders]))
    vocabulary, settings = vocabulary_of(names), teacher_settings(teacher)

    import time

    from mmlgd.datasets.folder import require_outside
    from mmlgd.engine.checks.teacher_hook import names_told_apart, tells_few
    from mmlgd.figures.answers import draw_examples, draw_unsure
    from mmlgd.models.banks import TextualSemanticsBank
    from mmlgd.models.teachers.settings import build_teacher
    from mmlgd.models.zero_shot import zero_shot_scores
    from mmlgd.student.images import find_images
    from mmlgd.text import load_templates, load_vocabulary
    from mmlgd.utils.spread import spread

    names, is_conse = load_vocabulary(vocabulary), has_conse(settings)
    templates = load_templates(templates or usual_templates(settings))
    there = find_images(images)
    sources = spread(there, max_images)
    folders = class_folders(images, names) if images.is_dir() and not are_shards(images) else None
    require_outside(out, images, 'The report', '--out')
    require_writable(out)
    built = build_teacher(settings, '--teacher')
    bank = TextualSemanticsBank(built, names, templates).bank
    started = time.monotonic()
    read, embeddings = embed_images(built, sources, size)
    seconds = time.monotonic() - started
    temperature = (CONSE_TEMPERATURE if is_conse else TEMPERATURE) * built.names_scale
    scores = zero_shot_scores(embeddings, bank, temperature)  # (M, K)
    best = scores.max(dim=1)
    labels = labels_of([source.name for source in read], folders) if folders else None
    told = names_told_apart(scores)
    report = TeacherReport(
        out=out,
        teacher=built.identity,
        names=names,
        images=len(read),
        there=len(there),
        answers=dict(zip(names, best.indices.bincount(minlength=len(names)).tolist())),
        told_apart=told,
        is_few=tells_few(told, len(names), len(read)),
        **_rightness(names, best.indices.tolist(), labels),
        seconds=seconds,
    )
    draw_examples(read, best, names, labels, out / 'examples.png')
    draw_unsure(read, best, names, labels, out / 'unsure.png')
    each = [
        dict(image=str(source), answer=names[k], score=round(score, 4))
        for source, k, score in zip(read, best.indices.tolist(), best.values.tolist())
    ]
    content = json.dumps({**asdict(report), 'out': str(out), 'each': each}, indent=1, ensure_ascii=False)
    write_whole(out / 'answers.json', content.encode(errors='backslashreplace'))  # a file's name may have any bytes
    return report


def _rightness(names: list[str], answers: list[int], labels: Optional[list[int]]) -> dict:
    """Count right answers, of all images and of those of each name."""
    if labels is None:
        return dict(accuracy=None, right={}, found={})
    hits = [answer == label for answer, label in zip(answers, labels)]

    def shares(given: list[int]) -> dict[str, float]:
        of_name = {name: [hit for hit, k in zip(hits, given) if k == number] for number, name in enumerate(names)}
        return {name: 100 * sum(found) / len(found) for name, found in of_name.items() if found}

    return dict(accuracy=100 * sum(hits) / len(hits), right=shares(answers), found=shares(labels))
