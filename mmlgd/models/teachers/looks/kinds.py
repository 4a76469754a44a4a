"""The kinds of looks that a pair of teachers can have beside its words."""

import hashlib
from collections.abc import Iterable
from typing import Optional

import torch
from torch import Tensor, nn

from mmlgd.models.embedded import Embedded
from mmlgd.models.teachers.base import BaseTeacher, TeacherError, resized, weights_fingerprint
from mmlgd.models.teachers.conse import ConSETeacher
from mmlgd.utils.validation import checked_settings, require

from .network import LooksNetwork
from .statistics import Statistics, measure, scale_of

LOOKS_DIM = 256  # keeps angles to within about 0.06; a teacher store holds all of them for each view
LOGITS_DIM = 128


class Looks(nn.Module):
    """What an image and its places look like, from one pass of a network.

    Attributes:
        dim (int): Dimensions beside the words; 0 if there are only similarities between places.
        network (LooksNetwork, optional): Its network. None if it reads the classifier of the words.
        is_shared (bool): Whether the network is the classifier of the words, which then runs once for both.
    """

    dim: int
    network: Optional[LooksNetwork]
    is_shared: bool = False

    @property
    def has_places(self) -> bool:
        """bool: Whether its places are known."""
        return self.network is None or self.network.has_places

    def identity(self, words: BaseTeacher, share: float) -> str:
        """Compute the identity of the pair."""
        raise NotImplementedError

    def signal(self, images: Tensor, places: bool, words: BaseTeacher) -> Embedded:
        """Run the network on images in its own size and statistics."""
        return self.network(images, places)

    def logits(self, signal: Embedded) -> Embedded:
        """Compute the logits of the words' classifier from a signal; only if ``is_shared``."""
        return Embedded(*(None if x is None else self.network.head(x) for x in signal))

    def read(self, signal: Embedded) -> Embedded:
        """Bring a signal to (N, dim) and (N, h, w, dim), not normalised."""
        raise NotImplementedError


class FeatureLooks(Looks):
    r"""Features of a network, standardised and reduced.

    .. math:: v = Q^\top \frac{f - \mu}{\sigma}

    with the pooled features f, their mean :math:`\mu` and standard deviation :math:`\sigma` over a few hundred images
    of the run, and a fixed matrix Q of orthonormal columns, if f has more than ``looks_dim`` dimensions. A dimension
    that is the same for all images is left out. Places go through the same map if an image is the mean over its places;
    patch tokens beside a class token have statistics of their own.

    Args:
        network (LooksNetwork): The network.
        words (BaseTeacher): The words' teacher; if its classifier is the same network, it runs once.
        looks_dim (int): > 0, the most dimensions. Defaults to 256, which keeps angles to within about 0.06.
        statistics (str, optional): :math:`\mu` and :math:`\sigma`, see :meth:`measured`. Defaults to None: not known
            yet.
    """

    @checked_settings
    def __init__(
        self, network: LooksNetwork, words: BaseTeacher, looks_dim: int = LOOKS_DIM, statistics: Optional[str] = None
    ):
        super().__init__()
        require(looks_dim > 0, f'Expected looks_dim of at least 1, got {looks_dim}.')
        self._named = network.label, f'{network.settings}/{network.fingerprint}'
        own = _same_in(words, network)
        self.is_shared = own is not None
        self.network = network = own or network
        self.dim = min(looks_dim, network.channels)
        if self.dim < network.channels:
            self.register_buffer('projection', orthonormal_columns(network.channels, self.dim))
        else:
            self.projection = None
        self.statistics = statistics
        if statistics is not None:
            known = Statistics.read(statistics, network.channels, self._places_differ)
            self._register(known.mean, known.std)
            if self._places_differ:
                self._register(known.places_mean, known.places_std, 'places_')

    @property
    def _places_differ(self) -> bool:
        return self.network.has_places and not self.network.averages_places

    def _register(self, mean: Tensor, std: Tensor, prefix: str = '') -> None:
        self.register_buffer(f'{prefix}mean', mean)
        self.register_buffer(f'{prefix}scale', scale_of(mean, std))

    def measured(self, batches: Iterable[Tensor]) -> str:
        """Measure the statistics.

        Args:
            batches (Iterable[Tensor]): (N, 3, H, W), images in the network's statistics, of any size.

        Returns:
            str: A value for ``statistics``.

        Raises:
            TeacherError: See :func:`~mmlgd.models.teachers.looks.statistics.measure`.
        """
        return measure(self._of_batch(images) for images in batches).text()

    def _of_batch(self, images: Tensor) -> Embedded:
        with torch.inference_mode():
            found = self.network(resized(images, self.network.image_size))
            if self._places_differ:
                of_places = self.network(resized(images, self.network.size_of(True)), places=True)
                found = Embedded(found.image, of_places.places)
        return found

    def neutral(self) -> str:
        """Make statistics that change nothing, for a model that is built to see whether it can be."""
        ones = torch.ones(self.network.channels)
        places = (torch.zeros_like(ones), ones) if self._places_differ else ()
        return Statistics(torch.zeros_like(ones), ones, *places).text()

    def identity(self, words: BaseTeacher, share: float) -> str:
        """Compute the identity: of the words, of the network, its statistics and its dimensions."""
        if self.statistics is None:
            raise self.no_statistics()
        digest = hashlib.sha256(self.statistics.encode()).hexdigest()[:8]
        label, weights = self._named
        return f'pair{share:g}/{words.identity}/looks/{label}/dim{self.dim}/stats-{digest}/{weights}'

    def no_statistics(self) -> TeacherError:
        """Make the error for looks that have not been measured."""
        return TeacherError(
            f'The looks {self._named[0]} have no statistics yet. `mmlgd train` and `mmlgd store` measure them on '
            f'images of the run; in Python, give looks=dict(backbone=..., statistics=PAIR.measured(batches)).'
        )

    def read(self, signal: Embedded) -> Embedded:
        """Standardise and reduce features."""
        differ = self._places_differ
        places = None
        if signal.places is not None:
            shift, scale = (self.places_mean, self.places_scale) if differ else (self.mean, self.scale)
            places = self._standardised(signal.places, shift, scale)
        return Embedded(self._standardised(signal.image, self.mean, self.scale), places)

    def _standardised(self, features: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):  # the network may run in 16 bits
            found = (features.float() - mean) * scale
            return found if self.projection is None else found @ self.projection


class LogitLooks(Looks):
    r"""The logits of the words' own classifier, by a random projection: what ConSE's ``visual_share`` was.

    .. math:: v = R(z - \bar z)

    with logits z and a fixed random R to 128 dimensions, which keeps the angles between them (Johnson and
    Lindenstrauss). It needs no statistics.

    Args:
        words (BaseTeacher): A :class:`~mmlgd.ConSETeacher`, whose classifier runs once for both.

    Raises:
        TeacherError: The words' teacher has no classifier.
    """

    dim = LOGITS_DIM
    is_shared = True

    def __init__(self, words: BaseTeacher):
        super().__init__()
        if not isinstance(words, ConSETeacher):
            raise TeacherError(
                f"looks='logits' are those of the words' own classifier, and a {type(words).__name__} has none. Name "
                f"a network, for example looks='timm:vit_small_patch14_dinov2'."
            )
        self.network = None
        classes = len(words.class_embeddings)
        projection = torch.randn(classes, LOGITS_DIM, generator=torch.Generator().manual_seed(0))
        self.register_buffer('projection', projection)  # R is the same in every process and run

    def identity(self, words: ConSETeacher, share: float) -> str:
        """Compute the identity, as earlier versions did for ConSE with this ``visual_share``."""
        return words.identity_with(f'visual{share}')

    def signal(self, images: Tensor, places: bool, words: ConSETeacher) -> Embedded:
        """Run the classifier."""
        return words.logits(images, places)

    def logits(self, signal: Embedded) -> Embedded:
        """Return the signal: it is the logits."""
        return signal

    def read(self, signal: Embedded) -> Embedded:
        """Project centred logits."""
        return Embedded(*(None if x is None else self._projected(x) for x in signal))

    def _projected(self, logits: Tensor) -> Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            return (logits - logits.mean(-1, keepdim=True)) @ self.projection


class SimilarityLooks(Looks):
    """Only how similar places are to each other: the map of a network, in the network's own space.

    Args:
        network (LooksNetwork, optional): The network. None: the words' own classifier, which runs once for both.
        words (BaseTeacher): The words' teacher.

    Raises:
        TeacherError: The words' teacher has no classifier, or the network has no places.
    """

    dim = 0

    def __init__(self, network: Optional[LooksNetwork], words: BaseTeacher):
        super().__init__()
        own = network_of(words) if network is None else _same_in(words, network)
        if network is None and own is None:
            raise TeacherError(
                f"looks='similarity' reads the words' own classifier, and a {type(words).__name__} has none. Name a "
                f"network, for example looks='similarity:timm:vit_small_patch14_dinov2'."
            )
        self.is_shared = own is not None
        self.network = own or network
        if not self.network.has_places:
            raise TeacherError(
                f'The network {self.network.label} has no places, and looks="similarity" compares nothing else. Name '
                f'another network: a convolutional one, or a transformer of timm or mmpretrain.'
            )

    def identity(self, words: BaseTeacher, share: float) -> str:
        """Return the words': this map changes no embedding."""
        return words.identity

    def read(self, signal: Embedded) -> Embedded:
        """Return the features."""
        return signal


def network_of(words: BaseTeacher) -> Optional[LooksNetwork]:
    """Make the network of a words' teacher that can run once for words and looks.

    Args:
        words (BaseTeacher): The teacher.

    Returns:
        LooksNetwork | None: ConSE's classifier without its head, sharing its weights. None for other teachers, and for
        a classifier whose head is not a linear layer.

    Raises:
        TeacherError: The classifier has no head that can be told from its features.
    """
    if not isinstance(words, ConSETeacher):
        return None
    network = LooksNetwork(
        words.classifier,
        image_size=words.image_size,
        mean=words.mean.flatten().tolist(),
        std=words.std.flatten().tolist(),
        places_size=words.places_size,
        compile=words.compiles,
    )
    return None if network.head is None else network


def orthonormal_columns(rows: int, columns: int) -> Tensor:
    """Draw a fixed matrix with orthonormal columns, the same on every machine up to rounding.

    Args:
        rows (int): C.
        columns (int): At most C.

    Returns:
        Tensor: (C, columns) float32.

    Examples:
        >>> q = orthonormal_columns(8, 3)
        >>> torch.allclose(q.T @ q, torch.eye(3), atol=1e-6)
        True
    """
    drawn = torch.randn(rows, columns, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    q, r = torch.linalg.qr(drawn)
    return (q * r.diagonal().sign()).float()  # libraries choose other signs


def _same_in(words: BaseTeacher, network: LooksNetwork) -> Optional[LooksNetwork]:
    """Find a network in the words' teacher, so that it runs once; None if it has another one, or none to share."""
    try:
        own = network_of(words)
    except TeacherError:  # its classifier cannot be cut into a network and a head
        return None
    if own is None or own.settings != network.settings:
        return None
    same = weights_fingerprint(own.network) == weights_fingerprint(network.network)  # batch norms are folded in both
    return own if same else None
