"""The terms of a loss: each compares student and teacher in one way, over one bank or none."""

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS
from mmlgd.utils.validation import checked_settings, require

from .base_bank import BankRows
from .place_names import entropy_of_names

ON = ('image', 'places', 'looks')  # what a term can compare
CLASSES = ('text', 'visual')  # banks whose rows stand for class names
PLACES = 1024  # places a step of a term on places: 5 images' worth of 14 x 14
_OTHERS = dict(queue='places', place_queue='image')  # what cannot be compared with the latest images, and latest places


class Term(nn.Module):
    """One term of the loss. To add your own, derive from this class, register it and implement :meth:`compare`.

    Args:
        name (str): Name in the log; must contain ``'loss'``, because mmengine adds up the values with such names.
        bank (str, optional): The bank that it compares over: ``'text'``, ``'visual'``, ``'queue'`` (the latest images)
            or ``'place_queue'`` (the latest places). Defaults to None: no bank.
        on (str): What it compares: ``'image'``, one embedding per image, ``'places'``, one per place, or ``'looks'``,
            the student's places and the teacher's map of looks. Defaults to ``'image'``.
        weight (float): >= 0. A term of weight 0 is not computed, and is logged as 0. Defaults to 1.0.
        places (int, optional): > 0, how many places a step of each rank it compares, drawn at random from all images.
            All terms see the same draw; a term with fewer takes the first of them. Defaults to None: 1024 with
            ``on='places'``; not for images.

    Attributes:
        student_temperature (float, optional): The student's temperature, also for class-name scores; None if the term
            has none.
        teacher_temperature (float, optional): Likewise.
        names_scale (float): Of the teacher, see :class:`~mmlgd.TeacherPair`; a model sets it when it is built.
        draws (bool): Whether a term on places compares drawn places (P, D). False: all places of each image,
            (N, h·w, D).
        takes_names (bool): Whether a term on places needs only the most likely names of the teacher's places.

    Raises:
        ConfigError: ``name`` does not contain ``'loss'``, ``on`` is unknown or does not go with the bank, ``weight`` is
            negative, or ``places`` is not positive or has no use.
    """

    student_temperature: Optional[float] = None
    teacher_temperature: Optional[float] = None
    names_scale: float = 1.0
    draws: bool = True
    takes_names: bool = False

    def __init__(
        self,
        name: str,
        bank: Optional[str] = None,
        on: str = 'image',
        weight: float = 1.0,
        places: Optional[int] = None,
    ):
        super().__init__()
        require('loss' in name, f'Expected a name with "loss" in it (mmengine adds up only these), got {name!r}.')
        known = ON[:2] if self.draws else ON[1:]  # looks are a map, of which only similarities count
        require(on in known, f'{name}: expected on={" or ".join(map(repr, known))}, got on={on!r}.')
        require(
            _OTHERS.get(bank) != on,
            f'{name} compares on={on!r} over the bank {bank!r}: the queue holds the latest images, place_queue the '
            f"latest places. Change one of the two; 'text' and 'visual' go with both.",
        )
        require(weight >= 0, f'Expected a weight of at least 0, got {weight}.')
        require(
            places is None or (on == 'places' and self.draws and places > 0),
            f'{name} has places={places}: expected a number above 0, for a term on="places" that draws some of them. '
            f'Leave places out elsewhere.',
        )
        self.name, self.bank, self.on, self.weight = name, bank, on, weight
        self.places = (places or PLACES) if on == 'places' and self.draws else 0

    def forward(self, student: Tensor, teacher: Tensor, bank: Optional[BankRows] = None) -> Tensor:
        """Compare in float32, under any autocast: similarities divided by 0.01 do not survive half precision.

        Args:
            student (Tensor): (N, D), unit rows, with gradient: images, or P drawn places; (N, h·w, D) for a term on all
                places.
            teacher (Tensor): The same of the teacher, or (P, M, 2), names of its places.
            bank (BankRows, optional): (K, D) rows. Defaults to None, for a term without a bank.

        Returns:
            Tensor: Float32 scalar, with the weight applied.

        Raises:
            ConfigError: The bank is missing, or the teacher's places are names, and the term needs embeddings.
        """
        with torch.autocast(student.device.type, enabled=False):
            s, t = student.float(), teacher.detach().float()
            if not self.weight:
                return s.new_zeros(())
            if self.bank is not None and bank is None:
                raise ConfigError(f'{self.name} compares over the bank {self.bank!r}. Pass it among the banks.')
            require(
                t.ndim == s.ndim or self.takes_names,
                f'{self.name} needs embeddings of places, but the teacher comes with names of them. Use a store of '
                f'embeddings, or the live teacher.',
            )
            return self.weight * self.compare(s, t, bank)

    def compare(self, s: Tensor, t: Tensor, bank: Optional[BankRows]) -> Tensor:
        """Compare float32 embeddings.

        Args:
            s (Tensor): (N, D), unit rows, with gradient; see :meth:`forward`.
            t (Tensor): Likewise, without; (P, M, 2) names only if ``takes_names``.
            bank (BankRows, optional): Rows of the term's bank.

        Returns:
            Tensor: Scalar, averaged over images or places, without the weight.
        """
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Describe name, place and weight, for ``print(model)``."""
        over = '' if self.bank is None else f'bank={self.bank}, '
        on = f'{self.places} places' if self.places else self.on
        return f'{self.name}: {over}on={on}, weight={self.weight:g}'


def name_in_log(what: str, on: str) -> str:
    """Name a term by what it compares: ``loss_queue`` on images, ``loss_place_queue`` on places."""
    return f'loss_{"place_" if on == "places" else ""}{what}'


@MODELS.register_module()
class CrossEntropyTerm(Term):
    r"""Cross-entropy between the teacher's and the student's similarities to the rows B of a bank.

    .. math:: H\big(\sigma(t \cdot B / \tau_T),\ \sigma(s \cdot B / \tau_S)\big)

    with softmax :math:`\sigma` and :math:`H(p, q) = -\sum p \log q`, averaged over the batch. With the self logit, the
    teacher's own embedding t of the image is one more row of B:

    .. math:: H\big(\sigma([t \cdot B,\ t \cdot t] / \tau_T),\ \sigma([s \cdot B,\ s \cdot t] / \tau_S)\big)

    Over the text bank it is :math:`L_\text{TEX}` of LGD (Li et al., T-MM 2024, arXiv 2406.11689), over the visual bank
    with the self logit its :math:`L_\text{VIS}`, and over a queue with the self logit the loss of SEED (Fang et al.,
    ICLR 2021, arXiv 2101.04731).

    Dense LGD, which is ours and not the paper's, adds the same on places: s and t are then embeddings of a place p,
    drawn anew in each step, and the average is over the P drawn places,

    .. math:: \frac{1}{P} \sum_p H\big(\sigma(t_p \cdot B / \tau_T),\ \sigma(s_p \cdot B / \tau_S)\big)

    With a :class:`~mmlgd.TeacherPair`, similarities of images to class names are smaller than the words' teacher's. The
    teacher's temperature over class names and their prototypes (``'text'``, ``'visual'``) follows,

    .. math:: \tau_T \leftarrow \sqrt{1 - w}\ \tau_T

    with the share w of looks, so that it is always given as for the words' teacher alone. Over the latest images and
    places it does not: similarities between images do not shrink.

    Args:
        bank (str): B: ``'text'`` (class names), ``'visual'`` (a prototype of each), ``'queue'`` (the latest images) or
            ``'place_queue'`` (the latest places).
        on (str): What is compared: ``'image'`` or ``'places'``. Defaults to ``'image'``.
        weight (float): >= 0. Defaults to 1.0.
        student_temperature (float): :math:`\tau_S` > 0. Defaults to 0.2, as published.
        teacher_temperature (float): :math:`\tau_T` > 0, of the words' teacher. Defaults to 0.01, as published.
        self_logit (bool): Add the self logit. Defaults to False.
        mask_unvisited (bool): Ignore rows that are still random: classes that no image has visited, and the unfilled
            part of a queue. Defaults to False, as published.
        name (str, optional): Name in the log. Defaults to None: ``loss_textual``, ``loss_visual`` or ``loss_queue``, on
            places ``loss_place_textual``, ``loss_place_visual`` or ``loss_place_queue``.
        places (int, optional): > 0, places a step; only with ``on='places'``. Defaults to None: 1024.

    Raises:
        ConfigError: A temperature is not positive, ``mask_unvisited`` is set for the text bank, or see :class:`Term`.

    Examples:
        >>> import torch
        >>> from mmlgd import BankRows, CrossEntropyTerm
        >>> names = BankRows(torch.eye(3))
        >>> CrossEntropyTerm('text', student_temperature=1.0)(torch.eye(3), torch.eye(3), names)
        tensor(0.5514)
    """

    @checked_settings
    def __init__(
        self,
        bank: str,
        on: str = 'image',
        weight: float = 1.0,
        student_temperature: float = 0.2,
        teacher_temperature: float = 0.01,
        self_logit: bool = False,
        mask_unvisited: bool = False,
        name: Optional[str] = None,
        places: Optional[int] = None,
    ):
        what = dict(text='textual', place_queue='queue').get(bank, bank)
        super().__init__(name or name_in_log(what, on), bank, on, weight, places)
        require(
            min(student_temperature, teacher_temperature) > 0,
            f'Expected positive temperatures, got student_temperature={student_temperature} and '
            f'teacher_temperature={teacher_temperature}.',
        )
        require(
            not (mask_unvisited and bank == 'text'),
            'The text bank has no random rows. Leave mask_unvisited out of its term.',
        )
        self.student_temperature = student_temperature
        self._teacher_temperature = teacher_temperature
        self.self_logit = self_logit
        self.mask_unvisited = mask_unvisited
        self.takes_names = on == 'places' and bank == 'text' and not self_logit

    @property
    def teacher_temperature(self) -> float:
        r"""float: The effective :math:`\tau_T`."""
        return self._teacher_temperature * (self.names_scale if self.bank in CLASSES else 1.0)

    def compare(self, s: Tensor, t: Tensor, bank: BankRows) -> Tensor:
        """Compute the cross-entropy, see :meth:`Term.compare`.

        Raises:
            ValueError: ``mask_unvisited`` is set, but the bank does not record visited rows.
        """
        if t.ndim > s.ndim:  # names of places, which have the temperature in them
            return entropy_of_names(s / self.student_temperature @ bank.rows.float().T, t)
        # Dividing here reads and writes (N, D) once, instead of each (N, K) below.
        sharp_s, sharp_t = s / self.student_temperature, t / self.teacher_temperature
        rows, there = bank.rows.float(), 1.0
        s_logits, t_logits = sharp_s @ rows.T, sharp_t @ rows.T  # (N, K) both
        if self.mask_unvisited:
            if bank.visited is None:
                raise ValueError("mask_unvisited=True needs the bank's `visited`; pass it beside the bank.")
            # Below any similarity at any temperature: 0 after the softmax, and finite if all rows are masked.
            s_logits, t_logits = (x.masked_fill(~bank.visited, -1e9) for x in (s_logits, t_logits))
            there = bank.visited.any()  # without a visited row the term is 0
        if self.self_logit:
            s_logits = torch.cat([s_logits, (sharp_s * t).sum(-1, keepdim=True)], dim=1)  # (N, K+1)
            t_logits = torch.cat([t_logits, (sharp_t * t).sum(-1, keepdim=True)], dim=1)  # (N, K+1), last is 1/τ_T
        return there * F.cross_entropy(s_logits, t_logits.softmax(dim=-1))

    def extra_repr(self) -> str:
        """Describe all settings, for ``print(model)``."""
        options = [name for name in ('self_logit', 'mask_unvisited') if getattr(self, name)]
        return ', '.join(
            [super().extra_repr(), f'τ_S={self.student_temperature:g}', f'τ_T={self.teacher_temperature:g}', *options]
        )
