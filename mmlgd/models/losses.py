"""Losses: lists of terms. The paper's loss is a preset, and so is a plain cosine loss as a baseline."""

from collections.abc import Collection, Mapping
from typing import Any, Optional, Union

import torch
from torch import Tensor, nn

from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS
from mmlgd.utils.building import build_part
from mmlgd.utils.validation import checked_settings, require

from .bankless_terms import CosineTerm
from .base_bank import BankRows
from .embedded import Drawn, Embedded, Extents, inside
from .place_names import are_names
from .places import to_grid
from .terms import CrossEntropyTerm, Term

# The banks that a model has only if its config says so, for error messages.
_QUEUES = dict(
    queue=('model.queue', 'dict(bank="queue", self_logit=True)'),
    place_queue=('model.place_queue', 'dict(bank="place_queue", on="places", self_logit=True)'),
)


@MODELS.register_module()
class DistillationLoss(nn.Module):
    r"""A loss as the list of its terms: :math:`L = \sum_i w_i L_i`.

    SEED is one term, the paper's LGD two (:class:`~mmlgd.LGDLoss`), LGD with a queue three. Dense LGD adds terms on
    places; all of them compare the same places, which are drawn once a step.

    Args:
        terms (list): Settings, whose ``type`` defaults to ``'mmlgd.CrossEntropyTerm'``, or instances of
            :class:`~mmlgd.models.terms.Term`.

    Raises:
        ConfigError: There is no term, an entry is not a term, or two terms have the same name.

    Examples:
        >>> from mmlgd import DistillationLoss
        >>> DistillationLoss([dict(bank='queue', self_logit=True), dict(type='mmlgd.CosineTerm', weight=0.1)])
        DistillationLoss(
          (terms): ModuleList(
            (0): CrossEntropyTerm(loss_queue: bank=queue, on=image, weight=1, τ_S=0.2, τ_T=0.01, self_logit)
            (1): CosineTerm(loss_cosine: on=image, weight=0.1)
          )
        )
    """

    optional_banks: tuple[str, ...] = ()  # a term over one of these is used only if the model has the bank

    @checked_settings
    def __init__(self, terms: list):
        super().__init__()
        require(len(terms) > 0, 'Expected at least one term, got none. Give terms=[dict(bank="text")], for example.')
        self.terms = nn.ModuleList(_built(term, f'model.loss.terms[{i}]') for i, term in enumerate(terms))
        names = [term.name for term in self.terms]
        require(
            len(set(names)) == len(names),
            f'Expected terms with different names, got {", ".join(names)}. Set their name.',
        )

    @property
    def reads(self) -> frozenset[str]:
        """FrozenSet[str]: Names of the banks that terms with a weight read."""
        return frozenset(term.bank for term in self.terms if term.bank is not None and term.weight > 0)

    @property
    def needs_places(self) -> tuple[str, ...]:
        """Tuple[str]: Names of the terms with a weight that compare places; empty if images are enough."""
        return tuple(term.name for term in self.terms if term.on != 'image' and term.weight > 0)

    @property
    def needs_looks(self) -> tuple[str, ...]:
        """Tuple[str]: Names of those that compare them with the teacher's map of looks."""
        return tuple(term.name for term in self.terms if term.on == 'looks' and term.weight > 0)

    @property
    def places(self) -> int:
        """int: How many places a step are drawn: as many as the term with most of them compares; 0 without such."""
        return max((term.places for term in self.terms if term.weight > 0), default=0)

    @property
    def student_temperature(self) -> float:
        """float: Temperature of class-name scores: of the term over class names, else of the first term, else 0.2."""
        return next((term.student_temperature for term in self._sharpened()), 0.2)

    @property
    def teacher_temperature(self) -> float:
        """float: The same for the teacher's scores, else 0.01."""
        return next((term.teacher_temperature for term in self._sharpened()), 0.01 * self.terms[0].names_scale)

    def scale_names(self, scale: float) -> None:
        """Let the teacher's temperatures over class names and prototypes follow its similarities to names.

        Args:
            scale (float): ``names_scale`` of the teacher.
        """
        for term in self.terms:
            term.names_scale = scale

    def names_temperature(self) -> float:
        """Find the temperature of the teacher's names of places, for a loss that needs nothing else of its places.

        Returns:
            float: The teacher's temperature of the terms on places.

        Raises:
            ConfigError: No term compares places, one of them needs embeddings, or they have several temperatures.
        """
        listed = [(i, term) for i, term in enumerate(self.terms) if term.on != 'image' and term.weight > 0]
        terms = [term for _, term in listed]
        others = [term.name for term in terms if not term.takes_names]
        off = ' '.join(f'model.loss.terms.{i}.weight=0' for i, term in listed if not term.takes_names)
        require(bool(terms), 'No term compares places: add dict(bank="text", on="places"), or keep no names of places.')
        require(
            not others,
            f'Embeddings of places are needed for {", ".join(others)}; names of places do for dict(bank="text", '
            f'on="places") alone. Write a store with --places-form embeddings, or train without these terms: '
            f'--cfg-options {off}',
        )
        temperatures = sorted({term.teacher_temperature for term in terms})
        require(
            len(temperatures) == 1,
            f'{", ".join(term.name for term in terms)} have the teacher_temperature {temperatures}, and names of '
            f'places are kept at one. Set the same, or write a store with --places-form embeddings.',
        )
        return temperatures[0]

    def check_banks(self, banks: Collection[str]) -> None:
        """Check the terms against the banks of a model when it is built.

        Args:
            banks (Collection[str]): Names of the model's banks.

        Raises:
            ConfigError: The model lacks a bank that a term reads, or no term is over one of its queues. A term of
                weight 0 counts: a study may sweep a weight through 0.
        """
        kind, listed = type(self).__name__, {term.bank for term in self.terms}
        for bank in sorted(self.reads - {*banks, *self.optional_banks}):
            hint = 'Change the bank of the term.'
            if bank in _QUEUES:
                hint = f'Give it one, {_QUEUES[bank][0]}=dict(size=8192), or take the term out.'
            raise ConfigError(
                f'model.loss, a {kind}, has a term over the bank {bank!r}, which the model lacks: it has '
                f'{", ".join(banks)}. {hint}'
            )
        for bank, (setting, term) in _QUEUES.items():
            require(
                bank not in banks or bank in listed,
                f'{setting} is a bank that no term of model.loss, a {kind}, reads. Leave {setting} out, or add the '
                f'term {term}.',
            )

    def forward(
        self,
        student: Union[Tensor, Embedded],
        teacher: Union[Tensor, Embedded, Drawn],
        banks: Optional[Mapping[str, BankRows]] = None,
    ) -> dict[str, Tensor]:
        """Compare student and teacher, term by term.

        Args:
            student (Tensor | Embedded): (N, D), unit rows, with gradient; with places, if a term compares them.
            teacher (Tensor | Embedded | Drawn): (N, D), unit rows, and likewise. The student's places are brought to
                its grid. Places that have not been drawn are drawn here.
            banks (Mapping[str, BankRows], optional): Rows (K, D) by the name of their bank. Defaults to None: no banks.

        Returns:
            Dict[str, Tensor]: A float32 scalar for each term, weights already applied: they sum to the loss.

        Raises:
            ValueError: Dimensions do not fit.
            ConfigError: A bank is missing, or places are.
        """
        banks = banks or {}
        s, t = (Embedded(x) if isinstance(x, Tensor) else x for x in (student, teacher))
        _check_shapes(s.image, t.image, banks)
        compared = dict(image=[(s.image, t.image)])
        if self.needs_places:
            s, t = self._aligned(s, t)
            compared['grids'] = _all_places(s.places, t.places, t.extents)  # (N, h*w, D) both
            if self.needs_looks:
                compared['looks'] = _with_looks(student, t, self.needs_looks)  # (N, M, D) and (N, M, C)
            if self.places:
                compared['places'] = [(s.drawn_places(), t.drawn_places())]  # (P, D) both
        return {
            term.name: _mean([term(*pair, banks.get(term.bank)) for pair in _of_term(term, compared)])
            for term in self.terms
            if term.bank in banks or term.bank not in self.optional_banks
        }

    def _aligned(self, s: Embedded, t: Union[Embedded, Drawn]) -> tuple[Drawn, Drawn]:
        """Bring the student's places to the teacher's grid, and draw the same of both."""
        for who, x in (('student', s), ('teacher', t)):
            require(
                x.places is not None,
                f'{", ".join(self.needs_places)} compare places, but the {who} comes without: pass '
                f'Embedded(image, places).',
            )
        fits = len(s.places) == len(t.places) and (are_names(t.places) or s.places.shape[-1] == t.places.shape[-1])
        if not fits:
            raise ValueError(
                f'Expected places of the same images (N, h, w, D), got student {tuple(s.places.shape)}, teacher '
                f'{tuple(t.places.shape)}.'
            )
        t = t.draw(self.places) if isinstance(t, Embedded) else t
        return Drawn(s.image, to_grid(s.places.float(), t.places.shape[1:3]), t.rows), t

    def _sharpened(self) -> list[Term]:
        """List the terms with temperatures, terms over class names first."""
        terms = [term for term in self.terms if term.student_temperature is not None]
        return sorted(terms, key=lambda term: (term.bank != 'text', term.on != 'image'))


@MODELS.register_module()
class LGDLoss(DistillationLoss):
    r"""The paper's terms (LGD, arXiv 2406.11689): cross-entropy over class names and over their prototypes.

    .. math::
        L_\text{TEX} &= H\big(\sigma(t \cdot \text{TSB} / \tau_T),\ \sigma(s \cdot \text{TSB} / \tau_S)\big) \\
        L_\text{VIS} &= H\big(\sigma([t \cdot \text{VSB},\ t \cdot t] / \tau_T),\
                             \sigma([s \cdot \text{VSB},\ s \cdot t] / \tau_S)\big) \\
        L &= \alpha L_\text{VIS} + (1 - \alpha) L_\text{TEX} \quad [\,+ \lambda L_\text{QUEUE}\,]

    with student embeddings s and teacher embeddings t, see :class:`~mmlgd.models.terms.CrossEntropyTerm`. The last
    entry of :math:`L_\text{VIS}` is the self logit. :math:`L_\text{QUEUE}` is :math:`L_\text{VIS}` over a queue, if the
    model has a queue; it may have its own teacher temperature. A part with weight 0 is not computed; it is a constant
    0.

    Args:
        student_temperature (float): :math:`\tau_S` > 0. Defaults to 0.2, as published.
        teacher_temperature (float): :math:`\tau_T` > 0. Defaults to 0.01, as published.
        alpha (float): :math:`\alpha` in [0, 1], the weight of the visual part. Defaults to 0.5, as published.
        self_logit (bool): Add the self logit to the visual part (and the queue's), as the published code does; the
            paper's figure shows none. Defaults to True.
        mask_unvisited (bool): Ignore rows that are still random: classes that no image has visited, and the unfilled
            part of a queue. Defaults to False, as published.
        queue_weight (float): :math:`\lambda` >= 0, the weight of the queue's part, if there is a queue. Defaults to
            1.0, as much as the other two together.
        queue_teacher_temperature (float, optional): The teacher's temperature in that part, > 0. The latest images lie
            closer to each other than class names do, and need a sharper target. Defaults to None, :math:`\tau_T`.

    Raises:
        ConfigError: A temperature is not positive, ``queue_weight`` is negative, or ``alpha`` is outside [0, 1].

    Examples:
        >>> import torch
        >>> from mmlgd import LGDLoss
        >>> unit = lambda *shape: torch.nn.functional.normalize(torch.rand(*shape), dim=-1)
        >>> sorted(LGDLoss()(unit(4, 8), unit(4, 8), unit(10, 8), unit(10, 8)))
        ['loss_textual', 'loss_visual']
    """

    optional_banks = ('queue',)

    @checked_settings
    def __init__(
        self,
        student_temperature: float = 0.2,
        teacher_temperature: float = 0.01,
        alpha: float = 0.5,
        self_logit: bool = True,
        mask_unvisited: bool = False,
        queue_weight: float = 1.0,
        queue_teacher_temperature: Optional[float] = None,
    ):
        require(0 <= alpha <= 1, f'Expected alpha, the weight of the visual part, in [0, 1], got {alpha}.')
        require(queue_weight >= 0, f'Expected a queue_weight of at least 0, got {queue_weight}.')
        both = dict(student_temperature=student_temperature, teacher_temperature=teacher_temperature)
        images = dict(both, self_logit=self_logit, mask_unvisited=mask_unvisited)
        of_queue = dict(images)
        if queue_teacher_temperature is not None:
            of_queue['teacher_temperature'] = queue_teacher_temperature
        super().__init__(
            [
                CrossEntropyTerm('visual', weight=alpha, **images),
                CrossEntropyTerm('text', weight=1 - alpha, **both),
                CrossEntropyTerm('queue', weight=queue_weight, **of_queue),
            ]
        )
        self.alpha = alpha

    def forward(
        self,
        student: Union[Tensor, Embedded],
        teacher: Union[Tensor, Embedded],
        textual_bank: Union[Tensor, Mapping[str, BankRows]],
        visual_bank: Optional[Tensor] = None,
        visited: Optional[Tensor] = None,
        queue: Optional[Tensor] = None,
        queue_visited: Optional[Tensor] = None,
    ) -> dict[str, Tensor]:
        r"""Compare student and teacher over the banks.

        Args:
            student (Tensor | Embedded): (N, D), unit rows, with gradient.
            teacher (Tensor | Embedded): (N, D), unit rows.
            textual_bank (Tensor | Mapping[str, BankRows]): (K, D), unit rows; or all banks by name, as in any
                :class:`DistillationLoss`, without the arguments below.
            visual_bank (Tensor, optional): (K, D), or (M, D) if it is a queue. Defaults to None: see above.
            visited (Tensor, optional): (K,) bool, rows of the visual bank that are no longer random; needed for
                ``mask_unvisited``. Defaults to None.
            queue (Tensor, optional): (M, D), a third bank. Defaults to None.
            queue_visited (Tensor, optional): (M,) bool, likewise. Defaults to None.

        Returns:
            Dict[str, Tensor]: Scalars ``loss_visual``, ``loss_textual`` and, with a queue, ``loss_queue``;
            :math:`\alpha`, :math:`1 - \alpha` and :math:`\lambda` already applied: they sum to L.

        Raises:
            ValueError: Dimensions do not fit, or ``visited`` is missing, though ``mask_unvisited`` is set.
            ConfigError: A bank is missing.
        """
        if visual_bank is None:
            return super().forward(student, teacher, textual_bank)
        banks = dict(text=BankRows(textual_bank), visual=BankRows(visual_bank, visited))
        if queue is not None:
            banks['queue'] = BankRows(queue, queue_visited)
        return super().forward(student, teacher, banks)


@MODELS.register_module()
class CosineLoss(DistillationLoss):
    r"""Regression of the teacher's embedding without a bank: one :class:`~mmlgd.models.bankless_terms.CosineTerm`.

    Examples:
        >>> import torch
        >>> from mmlgd import CosineLoss
        >>> CosineLoss()(torch.eye(2), torch.eye(2))
        {'loss_cosine': tensor(0.)}
    """

    @checked_settings
    def __init__(self):
        super().__init__([CosineTerm()])


def _built(term: Any, where: str) -> Term:
    if not isinstance(term, Term):
        term = build_part(term, where, 'mmlgd.CrossEntropyTerm')
    require(isinstance(term, Term), f'{where} is a {type(term).__name__}, which is not a loss term.')
    return term


_Pairs = list[tuple[Tensor, Tensor]]  # of student and teacher


def _of_term(term: Term, compared: dict[str, _Pairs]) -> _Pairs:
    """Pick what a term compares: images, drawn places (the first ones, if it takes fewer), or all places."""
    if term.on == 'image' or not term.weight:  # without weight it is a constant 0, and there may be no places
        return compared['image']
    if not term.draws:
        return compared['looks' if term.on == 'looks' else 'grids']
    return [(s[: term.places], t[: term.places]) for s, t in compared['places']]


def _all_places(s: Tensor, t: Tensor, extents: Optional[Extents]) -> _Pairs:
    """Take all places of a batch at once, or image by image where some lie on padding: images then differ in number."""
    if extents is None:
        return [(s.flatten(1, 2), t.flatten(1, 2))]
    sizes = inside(extents, t.shape[1:3])
    return [tuple(x[k : k + 1, :h, :w].flatten(1, 2) for x in (s, t)) for k, (h, w) in enumerate(sizes)]


def _mean(values: list[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.stack(values).mean()


def _with_looks(s: Embedded, t: Drawn, terms: tuple[str, ...]) -> _Pairs:
    """Bring the student's places to the grid of the teacher's map of looks."""
    require(
        t.looks is not None,
        f'{", ".join(terms)} compare places with a map of looks, but the teacher comes without. Give it one: '
        f'dict(type="mmlgd.TeacherPair", words=..., looks="similarity").',
    )
    return _all_places(to_grid(s.places.float(), t.looks.shape[1:3]), t.looks, t.extents)


def _check_shapes(student: Tensor, teacher: Tensor, banks: Mapping[str, BankRows]) -> None:
    dims = {x.shape[-1] for x in (student, teacher, *(bank.rows for bank in banks.values()))}
    if len(dims) != 1 or student.shape != teacher.shape:
        shown = ''.join(f', {name} bank {tuple(bank.rows.shape)}' for name, bank in banks.items())
        raise ValueError(
            f'Expected student and teacher of the same shape (N, D) and banks (K, D) with the same D, got student '
            f'{tuple(student.shape)}, teacher {tuple(teacher.shape)}{shown}.'
        )
