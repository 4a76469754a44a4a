"""A pair of teachers, one for words and one for looks, as one teacher with one space."""

import math
from collections.abc import Iterable
from typing import Optional, Union

import torch
import torch.nn.functional as F
from torch import Tensor

from mmlgd.models.embedded import Embedded
from mmlgd.models.places import to_grid
from mmlgd.registry import MODELS
from mmlgd.utils.validation import checked_settings

from .base import BaseTeacher, TeacherError, resized
from .looks import FeatureLooks, build_looks
from .settings import SHARE, build_teacher, looks_settings, names_scale


@MODELS.register_module()
class TeacherPair(BaseTeacher):
    r"""A teacher for words beside a teacher for looks, as one teacher.

    An embedding has two halves: what the words' teacher says, and what the image looks like. Class names have no looks.

    .. math:: t = \big[\sqrt{1 - w} \; u,\ \sqrt{w} \; v\big], \qquad \text{name} = [\text{name}, 0]

    Here u is the unit embedding of an image by the words' teacher, v the unit vector of its looks, and w their share.
    So t has unit length. The same holds for places. Two things follow:

    - Images compare by both halves: :math:`t \cdot t' = (1 - w)\, u \cdot u' + w\, v \cdot v'`.
    - Similarities to class names are :math:`\sqrt{1 - w}` times those of the words' teacher. The loss multiplies its
      temperatures over names by this :attr:`names_scale`, so that its target over names is the same for any share.

    The looks are one of these:

    - ``'library:model'``: the pooled features of a backbone of timm, torchvision, mmpretrain or EfficientNet-Lite,
      standardised and reduced to at most 256 dimensions, see :class:`~mmlgd.models.teachers.looks.FeatureLooks`. Their
      mean and scale are a setting, ``statistics``, because they come from images. A config need not have it: ``mmlgd
      train`` and ``mmlgd store`` then measure a few hundred training images, and keep the result in the config of the
      run, and so in checkpoints and stores.
    - ``'logits'``: the logits of the words' own classifier, without statistics. This is what ``visual_share`` of ConSE
      was.
    - ``'similarity'`` or ``'similarity:library:model'``: no second half. t is u, and places come with a map, of the
      words' own classifier or of that network, for a ``SimilarityTerm(on='looks')``.

    Both teachers see the same resized batch if their sizes agree. If both are one network, it runs once.

    Args:
        words (dict | BaseTeacher): The words' teacher, or its config.
        looks (str | dict): As above; or a dict with that as ``backbone``, and of a network also ``weights``,
            ``image_size``, ``mean``, ``std``, ``places_size``, ``compile``, see
            :class:`~mmlgd.models.teachers.looks.LooksNetwork`, and of features ``looks_dim`` and ``statistics``.
        looks_share (float): w in [0, 1), the share of the squared norm of t that describes looks. With 0, t is the
            words' u, bit for bit. Not read with ``'similarity'``. Defaults to 0.9, from docs/study.md.

    Attributes:
        words (BaseTeacher): The words' teacher.
        looks (Looks, optional): None with a share of 0, except for ``'similarity'``.
        names_scale (float): :math:`\sqrt{1 - w}`; 1 with ``'similarity'``.

    Raises:
        ConfigError: ``looks_share`` is out of its range, or there is no such setting.
        TeacherError: One of the two cannot be built, or the words' teacher is a pair or a store itself.

    Examples:
        >>> from mmlgd import TeacherPair
        >>> conse = dict(type='mmlgd.ConSETeacher')
        >>> pair = TeacherPair(words=conse, looks='logits', looks_share=0.75)  # doctest: +SKIP
        >>> pair.embed_dim, pair.names_scale  # doctest: +SKIP
        (512, 0.5)
    """

    @checked_settings
    def __init__(
        self,
        words: Union[dict, BaseTeacher],
        looks: Union[str, dict],
        looks_share: float = SHARE,
    ):
        scale = names_scale(dict(type='TeacherPair', looks=looks, looks_share=looks_share))
        if isinstance(words, dict):
            words = build_teacher(words, 'model.teacher.words')
        if type(words)._encode_image is BaseTeacher._encode_image:
            raise TeacherError(
                f"The words' teacher is a {type(words).__name__}, expected one that sees images itself, such as "
                f'OpenCLIPTeacher or ConSETeacher. A store goes around the pair: --store, or '
                f'dict(type="mmlgd.CachedTeacher", store=DIR, teacher=dict(type="mmlgd.TeacherPair", ...)).'
            )
        built = build_looks(looks, words) if looks_share or looks_settings(looks).kind == 'similarity' else None
        dim = built.dim if built else 0
        mean, std = (x.flatten().tolist() for x in (words.mean, words.std))
        super().__init__(words.embed_dim + dim, words.image_size, mean, std, words.interpolation, words.places_size)
        self.words, self.looks, self.looks_share = words, built, looks_share
        self.has_looks = built is not None and not dim
        self.names_scale, self.own_temperature = scale, words.own_temperature
        self.tower_name = words.tower_name
        if words.has_places and not self.has_places:
            self.tower_name = f'The network {built.network.label}'
        if built is not None and not built.is_shared:  # from the words' statistics of images to those of the looks
            mean, std = (torch.tensor(x).view(3, 1, 1) for x in (built.network.mean, built.network.std))
            self.register_buffer('looks_scale', self.std / std)
            self.register_buffer('looks_shift', (self.mean - mean) / std)

    @property
    def identity(self) -> str:
        """str: Of the words and the looks.

        Raises:
            TeacherError: The looks have no statistics yet.
        """
        return self.words.identity if self.looks is None else self.looks.identity(self.words, self.looks_share)

    @property
    def has_places(self) -> bool:
        """bool: Whether both have places."""
        return self.words.has_places and (self.looks is None or self.looks.has_places)

    def prepare(self) -> None:
        """Prepare the words' teacher."""
        self.words.prepare()

    def keep_ratio(self) -> bool:
        """Let the words' teacher keep the ratio of images; a network of looks of its own sees them at its own size."""
        return self.words.keep_ratio()

    def count_tokens(self, prompts: list[str]) -> Optional[tuple[list[int], int]]:
        """Count the tokens of prompts for the words' teacher: see :meth:`BaseTeacher.count_tokens`."""
        return self.words.count_tokens(prompts)

    def free_text_tower(self) -> None:
        """Drop the text tower of the words' teacher."""
        self.words.free_text_tower()

    def measured(self, batches: Iterable[Tensor]) -> str:
        """Measure the statistics of looks, on a few hundred images.

        Args:
            batches (Iterable[Tensor]): (N, 3, H, W), normalised for the student, as for :meth:`encode_image`.

        Returns:
            str: The setting ``statistics`` of ``looks``. This teacher is not changed.

        Raises:
            TeacherError: The looks need no statistics, there are too few images, or their features are not usable.
        """
        if not isinstance(self.looks, FeatureLooks):
            raise TeacherError('These looks need no statistics: only features of a network are standardised.')
        with torch.inference_mode():
            return self.looks.measured(self._as_looks(self.normalized(images)) for images in batches)

    def _as_looks(self, images: Tensor) -> Tensor:
        """Bring images from the words' statistics to those of the looks."""
        return images if self.looks.is_shared else images * self.looks_scale + self.looks_shift

    def _embed(self, images: Tensor, places: bool) -> Embedded:
        words, looks = self.words, self.looks
        seen = resized(images, words.size_for(images, places), words.interpolation)
        if looks is None or (self.has_looks and not places):
            return words._encode(seen, places)
        if isinstance(looks, FeatureLooks) and looks.statistics is None:
            raise looks.no_statistics()
        if looks.is_shared:
            signal = looks.signal(seen, places, words)
            told = Embedded(*(None if x is None else words.vote(x) for x in looks.logits(signal)))
        else:
            told = words._encode(seen, places)  # in one resizing: a rounded ratio may give another size
            size = looks.network.size_of(places)
            own = seen if tuple(seen.shape[-2:]) == size else resized(images, size)  # the same batch, if sizes agree
            signal = looks.signal(self._as_looks(own), places, words)
        found = looks.read(signal)
        if self.has_looks:
            return Embedded(told.image, told.places, found.places)
        image = self._joined(told.image, found.image)
        if not places:
            return Embedded(image)
        return Embedded(image, self._joined(told.places, to_grid(_unit(found.places), told.places.shape[1:3])))

    def _joined(self, words: Tensor, looks: Tensor) -> Tensor:
        parts = (math.sqrt(1 - self.looks_share) * _unit(words), math.sqrt(self.looks_share) * _unit(looks))
        return torch.cat(parts, dim=-1)

    def _encode_text(self, prompts: list[str]) -> Tensor:
        embeddings = self.words.encode_text(prompts)
        return F.pad(embeddings, (0, self.embed_dim - embeddings.shape[1]))


def _unit(rows: Tensor) -> Tensor:
    return F.normalize(rows.float(), dim=-1)
