"""Terms without a bank: they regress the teacher's embeddings, or how similar these are to each other."""

from typing import Optional

import torch.nn.functional as F
from torch import Tensor

from mmlgd.registry import MODELS
from mmlgd.utils.validation import checked_settings, require

from .terms import Term, name_in_log


@MODELS.register_module()
class CosineTerm(Term):
    r"""Regression of the teacher's embedding by angle, without a bank.

    .. math:: 1 - s \cdot t = \tfrac12 \lVert s - t \rVert^2

    averaged over images or places: the squared distance by which FitNets learn their teacher's features (Romero et al.,
    ICLR 2015, arXiv 1412.6550), here of unit vectors.

    Args:
        on (str): What is compared: ``'image'`` or ``'places'``. Defaults to ``'image'``.
        weight (float): >= 0. Defaults to 1.0.
        name (str, optional): Name in the log. Defaults to None: ``loss_cosine``, on places ``loss_place_cosine``.
        places (int, optional): > 0, places a step; only with ``on='places'``. Defaults to None: 1024.

    Examples:
        >>> import torch
        >>> from mmlgd import CosineTerm
        >>> CosineTerm(weight=0.5)(torch.eye(2), -torch.eye(2))
        tensor(1.)
    """

    @checked_settings
    def __init__(
        self, on: str = 'image', weight: float = 1.0, name: Optional[str] = None, places: Optional[int] = None
    ):
        super().__init__(name or name_in_log('cosine', on), None, on, weight, places)

    def compare(self, s: Tensor, t: Tensor, bank: None = None) -> Tensor:
        """Compute half the squared distance of unit vectors, see :meth:`Term.compare`."""
        return 1 - (s * t).sum(dim=-1).mean()


@MODELS.register_module()
class RegressionTerm(Term):
    r"""Regression of the teacher's embedding by angle and by value, without a bank.

    .. math::
        (1 - \lambda)\,(1 - s \cdot t)
        + \frac{\lambda}{D} \sum_d \text{smooth-L1}\big(\sqrt{D}\, s_d,\ \sqrt{D}\, t_d\big)

    averaged over images or places, with :math:`\text{smooth-L1}(a, b) = \tfrac12 (a - b)^2`, and :math:`|a - b| -
    \tfrac12` where they differ by more than 1. AM-RADIO (Ranzinger et al., CVPR 2024, arXiv 2312.06709) regresses
    places like this. Its features have components of about unit size, which a unit vector has after a factor of
    :math:`\sqrt{D}`: without it the second part would be D times smaller than the first. Close to the target both
    parts are equal; far from it the second is milder, so that a few outlying components count less.

    Args:
        on (str): What is compared: ``'image'`` or ``'places'``. Defaults to ``'image'``.
        weight (float): >= 0. Defaults to 1.0.
        smooth_l1 (float): :math:`\lambda` in [0, 1]. Defaults to 0.1, as in AM-RADIO.
        name (str, optional): Name in the log. Defaults to None: ``loss_regression``, on places
            ``loss_place_regression``.
        places (int, optional): > 0, places a step; only with ``on='places'``. Defaults to None: 1024.

    Raises:
        ConfigError: ``smooth_l1`` is outside [0, 1], or see :class:`Term`.

    Examples:
        >>> import torch
        >>> from mmlgd import RegressionTerm
        >>> RegressionTerm()(torch.eye(2), torch.eye(2))
        tensor(0.)
    """

    @checked_settings
    def __init__(
        self,
        on: str = 'image',
        weight: float = 1.0,
        smooth_l1: float = 0.1,
        name: Optional[str] = None,
        places: Optional[int] = None,
    ):
        super().__init__(name or name_in_log('regression', on), None, on, weight, places)
        require(0 <= smooth_l1 <= 1, f'Expected smooth_l1, the share of the second part, in [0, 1], got {smooth_l1}.')
        self.smooth_l1 = smooth_l1

    def compare(self, s: Tensor, t: Tensor, bank: None = None) -> Tensor:
        """Compute both parts, see :meth:`Term.compare`."""
        angle = 1 - (s * t).sum(dim=-1).mean()
        scale = s.shape[-1] ** 0.5
        return (1 - self.smooth_l1) * angle + self.smooth_l1 * F.smooth_l1_loss(s * scale, t * scale)

    def extra_repr(self) -> str:
        """Describe all settings, for ``print(model)``."""
        return f'{super().extra_repr()}, smooth_l1={self.smooth_l1:g}'


@MODELS.register_module()
class SimilarityTerm(Term):
    r"""How similar the places of an image are to each other, as the teacher sees it; without a bank.

    With the places :math:`t_1, \dots, t_M` of an image, and all of them as rows of T, likewise S,

    .. math:: \frac{1}{M} \sum_p \text{KL}\big(\sigma(t_p \cdot T / \tau)\ \|\ \sigma(s_p \cdot S / \tau)\big)

    averaged over images. The student may have any basis here: only which places belong together counts. It compares all
    places of the teacher's grid, so it takes memory for N·M·M similarities. Pair-wise distillation of segmentors (Liu
    et al., CVPR 2019, arXiv 1903.04197) compares the same similarities by their squared difference. With
    ``on='looks'``, T is the map of looks of a :class:`~mmlgd.TeacherPair` with ``looks='similarity'``, on its own grid.

    Args:
        on (str): What of the teacher is compared with the student's places: ``'places'``, or ``'looks'``. Defaults to
            ``'places'``.
        weight (float): >= 0. Defaults to 1.0.
        temperature (float): :math:`\tau` > 0. Defaults to 0.07, of contrastive learning on images (MoCo, He et al.,
            CVPR 2020, arXiv 1911.05722).
        name (str, optional): Name in the log. Defaults to None: ``loss_place_similarity``, of looks
            ``loss_looks_similarity``.

    Raises:
        ConfigError: ``on`` is another word, ``temperature`` is not positive, or see :class:`Term`.

    Examples:
        >>> import torch
        >>> from mmlgd import SimilarityTerm
        >>> places = torch.eye(3)[None]  # one image of three places
        >>> SimilarityTerm()(places.roll(1, dims=-1), places)  # the same likenesses in another basis
        tensor(0.)
    """

    draws = False

    @checked_settings
    def __init__(
        self,
        on: str = 'places',
        weight: float = 1.0,
        temperature: float = 0.07,
        name: Optional[str] = None,
    ):
        super().__init__(name or f'loss_{"looks" if on == "looks" else "place"}_similarity', None, on, weight)
        require(temperature > 0, f'Expected a positive temperature, got {temperature}.')
        self.temperature = temperature

    def compare(self, s: Tensor, t: Tensor, bank: None = None) -> Tensor:
        """Compute the divergence from (N, M, D), see :meth:`Term.compare`."""
        log_q, log_p = ((x @ x.mT / self.temperature).log_softmax(dim=-1) for x in (s, t))  # (N, M, M) both
        return F.kl_div(log_q, log_p, reduction='none', log_target=True).sum(dim=-1).mean()

    def extra_repr(self) -> str:
        """Describe all settings, for ``print(model)``."""
        return f'{super().extra_repr()}, τ={self.temperature:g}'
