"""A report on class names before a training: which of them will the teacher confuse, cut or never see?"""

import json
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Optional, Union

from mmlgd.utils.files import require_writable, write_whole
from mmlgd.utils.validation import listed, require, whole

from .answering import embed_images
from .inputs import path_of, teacher_settings, vocabulary_of
from .recipes import usual_templates

# Large packages are imported inside functions: the help of `mmlgd names`, which reads this module, must not wait for
# them.


@dataclass(frozen=True)
class NamesReport:
    """A report on class names.

    Attributes:
        out (Path): Folder of names.png and names.json.
        names (List[str]): The K names.
        teacher (str): Identity of the teacher.
        effective (float): Effective number of names, from 1 to K:
            :func:`~mmlgd.evaluation.similar_names.effective_names`.
        threshold (float): The 99th percentile of the cosines of all pairs.
        pairs (List[Tuple[str, str, float]]): Pairs above it with their cosine, the closest first.
        cut_off (List[str]): Phrasings that the text tower does not read to their end in some prompt.
        in_pieces (Dict[str, int]): Words that the tokenizer does not know as one token, with their number of tokens.
        senses (Dict[str, List[str]]): Phrasings with several senses and the kind of each; empty without WordNet.
        images (int): Number of images that were looked at.
        answers (Dict[str, int]): Images that are nearest to each name; empty without images.
        effective_answers (float | None): Effective number of classes of these answers; None without images.
    """

    out: Path
    names: list[str]
    teacher: str
    effective: float
    threshold: float
    pairs: list[tuple[str, str, float]]
    cut_off: list[str] = field(default_factory=list)
    in_pieces: dict[str, int] = field(default_factory=dict)
    senses: dict[str, list[str]] = field(default_factory=dict)
    images: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    effective_answers: Optional[float] = None

    @property
    def unused(self) -> list[str]:
        """List[str]: Names that no image is nearest to; empty without images."""
        return [name for name, count in self.answers.items() if not count]


def report_names(
    names: Union[list[str], str, Path, dict],
    *,
    teacher: str = 'RN50:openai',
    templates: Union[list[str], str, None] = None,
    images: Union[list[str], str, Path, None] = None,
    max_images: int = 1000,
    out: Union[str, Path, None] = None,
) -> NamesReport:
    """Show how a teacher understands class names, before hours are spent on a training with them.

    It shows pairs of names that the teacher can hardly tell apart, names that its tokenizer cuts, words with several
    senses (if nltk and its WordNet are installed) and the effective number of classes. With ``images``, it also shows
    the names that no image is nearest to. It proposes nothing: which of this matters depends on the task.

    Args:
        names (List[str] | str | Path | dict): A text file, a known set, or the names themselves, at least two.
        teacher (str): The teacher, as for `mmlgd pretrain`. In Python it can also be a config. Defaults to RN50:openai.
        templates (List[str] | str, optional): Prompt templates: a known set, or sentences with one {} each. By default
            those of `mmlgd pretrain`: plain for conse, else openai-imagenet-80.
        images (List[str] | str | Path, optional): Files or folders of images, or tar shards. Defaults to None.
        max_images (int): Maximum number of images, evenly spread over all. Defaults to 1000.
        out (str | Path, optional): Folder for names.png and names.json. Defaults to work_dirs/names_SET, or
            work_dirs/names.

    Returns:
        NamesReport: What the files show.

    Raises:
        MMLGDError: The names, the templates, the teacher or the images cannot be used.
        WriteError: The folder is not writable; this is checked first.

    Examples:
        >>> import mmlgd
        >>> report = mmlgd.report_names(['road', 'street', 'car'], teacher='conse')  # doctest: +SKIP
        >>> report.pairs  # doctest: +SKIP
        [('road', 'street', 0.78)]
    """
    max_images = whole('images', 1, 10**6)(max_images)
    require(find_spec('scipy') is not None, 'The figure needs scipy: `pip install "mmlgd[evaluation]"`.')
    names, settings = vocabulary_of(names), teacher_settings(teacher)
    stem = f'names_{Path(names).stem}' if isinstance(names, str) else 'names'
    out = path_of(out or Path('work_dirs') / stem)

    from mmlgd.datasets.folder import require_outside

    for folder in listed(images or []):
        require_outside(out, path_of(folder), 'The report', '--out')
    require_writable(out)

    from mmlgd.evaluation.distillation_metric import effective_classes
    from mmlgd.evaluation.similar_names import confusable, effective_names
    from mmlgd.figures.names import draw_names
    from mmlgd.models.banks import TextualSemanticsBank
    from mmlgd.models.teachers.settings import build_teacher
    from mmlgd.student.images import find_images
    from mmlgd.text import load_templates, phrasings
    from mmlgd.text.senses import several_senses
    from mmlgd.utils.spread import spread

    templates = load_templates(templates or usual_templates(settings))
    sources = spread(find_images(images), max_images) if images is not None else []
    built = build_teacher(settings, '--teacher')
    text = TextualSemanticsBank(built, names, templates)
    names, bank = text.class_names, text.bank
    words = [phrasing for name in names for phrasing in phrasings(name)]
    found = confusable(bank)
    looked = dict(answers={})
    if sources:
        nearest = (embed_images(built, sources)[1] @ bank.T).argmax(dim=1)
        counts = nearest.bincount(minlength=len(names)).tolist()
        looked = dict(
            images=len(nearest),
            answers=dict(zip(names, counts)),
            effective_answers=effective_classes(nearest, len(names)),
        )
    report = NamesReport(
        out=out,
        names=names,
        teacher=built.identity,
        effective=effective_names(bank),
        threshold=found.threshold,
        pairs=[(names[i], names[j], cosine) for i, j, cosine in found.pairs],
        **_cuts(built, words, templates),
        senses=several_senses(words),
        **looked,
    )
    draw_names(bank, names, found, out / 'names.png')
    told = json.dumps({**asdict(report), 'out': str(out)}, indent=1, ensure_ascii=False)
    write_whole(out / 'names.json', told.encode(errors='backslashreplace'))  # a folder may have any bytes in its name
    return report


def _cuts(teacher, told: list[str], templates: list[str]) -> dict:
    """Find phrasings whose end is not read in some prompt, and words of several tokens."""
    words = sorted({word for phrasing in told for word in phrasing.split()})
    counted = teacher.count_tokens(['', *words])
    if counted is None:
        return {}
    (frame, *lengths), _ = counted
    return dict(
        cut_off=teacher.cut_off(told, templates),
        in_pieces={word: count - frame for word, count in zip(words, lengths) if count - frame > 1},
    )
