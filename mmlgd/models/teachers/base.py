"""The base class of teachers: two frozen towers with one joint space."""

import hashlib
import json
import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, Optional, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmlgd.errors import MMLGDError, brief
from mmlgd.models.embedded import Embedded
from mmlgd.text.templates import SLOT


class TeacherError(MMLGDError, ValueError):
    """A teacher that cannot be built from its settings or files."""


class BaseTeacher(nn.Module):
    r"""A frozen image tower and a text tower that share a joint space of ``embed_dim`` dimensions.

    Subclasses provide ``_encode_image`` (images in the teacher's own statistics and size to embeddings) and
    ``_encode_text`` (prompts to embeddings); this class does the rest for all teachers. A batch arrives normalised for
    the *student*, :math:`x_s = (p - \mu_s) / \sigma_s` with pixels p in 0..255, in the student's channel order. It is
    converted to RGB and re-normalised by one affine map per channel:

    .. math:: x_t = \left(\tfrac{1}{255}(x_s \sigma_s + \mu_s) - \mu_t\right) / \sigma_t

    Args:
        embed_dim (int): D, the dimension of the joint space.
        image_size (Tuple[int, int]): Height and width in pixels that the image tower expects.
        mean (Sequence[float]): RGB mean of the teacher's images, in 0..1.
        std (Sequence[float]): RGB standard deviation of the teacher's images, in 0..1.
        interpolation (str): How a batch of another size is resized, ``'bicubic'`` or ``'bilinear'``. Defaults to
            ``'bicubic'``, CLIP's own.
        places_size (int | Tuple[int, int], optional): Height and width in pixels of the images when places are asked
            for. Defaults to None: ``image_size``.

    Attributes:
        text_cache (str, optional): Folder of text embeddings that come with the teacher; read, never written. None by
            default.
        places_size (Tuple[int, int], optional): Height and width likewise, a part of the identity; None if it is
            ``image_size``.
        places_tower (nn.Module, optional): Maps images to the embeddings of images and places, in one pass and not
            normalised; see :class:`~mmlgd.models.teachers.places.base.PlacesTower`. None for a teacher without.
        tower_name (str): Name of the image tower for errors about places.
        names_scale (float): How much smaller similarities to class names are than in a teacher of words alone. 1.0
            except for :class:`~mmlgd.TeacherPair`; the loss scales its temperatures over names by it.
        own_temperature (float, optional): :math:`\tau` of the teacher's own training over names,
            :math:`1 / \exp(\text{logit scale})`, of the weights. The loss does not read it; a log line compares it with
            the loss's. None if the teacher has none.
        has_looks (bool): Whether places come with a map of looks beside them, for a ``SimilarityTerm(on='looks')``.
        place_pixels (Tuple[int, int], optional): Height and width of a place, if images keep their ratio: see
            :meth:`keep_ratio`. None: all images are brought to one size.
    """

    text_cache: Optional[str] = None
    names_scale: float = 1.0
    own_temperature: Optional[float] = None
    has_looks: bool = False
    place_pixels: Optional[tuple[int, int]] = None

    def __init__(
        self,
        embed_dim: int,
        image_size: tuple[int, int],
        mean: Sequence[float],
        std: Sequence[float],
        interpolation: str = 'bicubic',
        places_size: Union[int, tuple[int, int], None] = None,
    ):
        super().__init__()
        for name, value, count, low in (
            ('image_size', image_size, 2, 1),
            ('mean', mean, 3, -1e6),
            ('std', std, 3, 1e-6),
        ):
            if not are_numbers(value, count, low):
                raise TeacherError(
                    f'The teacher has {name}={brief(value)}, expected {count} numbers of at least {low:g}. Its files '
                    f'are damaged, or its config is not of a teacher.'
                )
        self.embed_dim = embed_dim
        self.image_size = tuple(image_size)
        self.interpolation = interpolation
        self.places_size = own_size(places_size, self.image_size)
        self.places_tower: Optional[nn.Module] = None
        self.tower_name = type(self).__name__
        self.register_buffer('mean', torch.tensor(mean, dtype=torch.float32).view(3, 1, 1))
        self.register_buffer('std', torch.tensor(std, dtype=torch.float32).view(3, 1, 1))
        self.register_buffer('scale', torch.ones(3, 1, 1))
        self.register_buffer('shift', torch.zeros(3, 1, 1))
        self.expect_pixels(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        self.eval()

    def expect_pixels(self, mean: Sequence[float], std: Sequence[float], bgr: bool = False) -> None:
        """Set how incoming batches are normalised.

        Args:
            mean (Sequence[float]): Mean of the student's preprocessing, in 0..255, in its order of channels; one number
                is that of all channels.
            std (Sequence[float]): Standard deviation, likewise.
            bgr (bool): Whether the order is BGR. Defaults to False: RGB.
        """
        mean, std = (
            torch.as_tensor(v, dtype=torch.float32).view(-1, 1, 1).expand(3, 1, 1).to(self.mean) for v in (mean, std)
        )
        self.bgr = bgr
        if bgr:
            mean, std = mean.flip(0), std.flip(0)
        self.scale = std / (255 * self.std)
        self.shift = (mean / 255 - self.mean) / self.std

    def expect_pixels_of(self, preprocessor: nn.Module) -> None:
        """Read the normalisation of incoming batches from the student's preprocessor.

        Args:
            preprocessor (nn.Module): The student's data preprocessor, of mmengine or any of the libraries. Images are
                loaded as BGR; the preprocessor says whether it converts them to RGB.
        """
        normalizes = getattr(preprocessor, '_enable_normalize', False)
        mean, std = (preprocessor.mean, preprocessor.std) if normalizes else ((0.0,) * 3, (1.0,) * 3)
        # mmengine's attribute, mmsegmentation's, and that of mmpretrain's classifiers.
        names = ('_channel_conversion', 'channel_conversion', 'to_rgb')
        rgb = next((getattr(preprocessor, name) for name in names if hasattr(preprocessor, name)), False)
        self.expect_pixels(mean, std, bgr=not rgb)

    def keep_ratio(self) -> bool:
        """Let images that are no squares keep their ratio when places are asked for, if the tower takes such images.

        The number of places stays about the same, so that the tower's cost does. A pass of zeros tells.

        Returns:
            bool: Whether they do now. If not, they are stretched to the teacher's own size.
        """
        size = self.places_size or self.image_size
        try:
            with torch.no_grad():
                grid = self._embed(self.mean.new_zeros(1, 3, *size), True).places.shape[1:3]
                pixels = size[0] // grid[0], size[1] // grid[1]
                tall = self.mean.new_zeros(1, 3, 2 * grid[0] * pixels[0], grid[1] * pixels[1])
                fits = self._encode_places(tall).places.shape[1:3] == (2 * grid[0], grid[1])
        except Exception:  # each tower refuses a size in its own way
            fits = False
        self.place_pixels = pixels if fits else None
        return fits

    def size_for(self, images: Tensor, places: bool) -> tuple[int, int]:
        """Choose the size at which the tower sees images.

        Args:
            images (Tensor): (N, 3, H, W).
            places (bool): Whether places are asked for.

        Returns:
            Tuple[int, int]: Height and width in pixels.
        """
        size = (self.places_size if places else None) or self.image_size
        if not places or self.place_pixels is None:
            return size
        ratio = math.sqrt(images.shape[-2] / images.shape[-1])
        side = math.sqrt(math.prod(own // pixels for own, pixels in zip(size, self.place_pixels)))
        grid = max(1, round(side * ratio)), max(1, round(side / ratio))
        return grid[0] * self.place_pixels[0], grid[1] * self.place_pixels[1]

    def encode_image(self, images: Tensor) -> Tensor:
        """Embed images that are normalised for the student, in inference mode.

        Args:
            images (Tensor): (N, 3, H, W), in the channels and statistics given to :meth:`expect_pixels`.

        Returns:
            Tensor: (N, D) float32, rows of unit length, without gradient.
        """
        return self.encode(images).image

    def encode_places(self, images: Tensor) -> Tensor:
        """Embed each place of images: see :meth:`encode`.

        Args:
            images (Tensor): (N, 3, H, W), as in :meth:`encode_image`.

        Returns:
            Tensor: (N, h, w, D) float32, rows of unit length, without gradient.

        Raises:
            TeacherError: This teacher has no places.
        """
        return self.encode(images, places=True).places

    def encode(self, images: Tensor, places: bool = False) -> Embedded:
        """Embed images, and with ``places`` each of their places from the same forward pass, in inference mode.

        Args:
            images (Tensor): (N, 3, H, W), as in :meth:`encode_image`.
            places (bool): Embed the places, too. Defaults to False.

        Returns:
            Embedded: float32 without gradient, rows of unit length.

        Raises:
            TeacherError: This teacher has no places.
        """
        with torch.inference_mode():
            found = self._embed(self.normalized(images), places)
        # Normal tensors: autograd cannot save inference tensors.
        return Embedded(*(None if x is None else F.normalize(x.float(), dim=-1).clone() for x in found))

    def normalized(self, images: Tensor) -> Tensor:
        """Bring images from the student's normalisation to the teacher's.

        Args:
            images (Tensor): (N, 3, H, W), as in :meth:`encode_image`.

        Returns:
            Tensor: (N, 3, H, W), RGB, in the teacher's statistics.
        """
        images = images.flip(1) if self.bgr else images
        return images * self.scale + self.shift

    @torch.no_grad()
    def encode_text(self, prompts: list[str]) -> Tensor:
        """Embed prompts with the text tower.

        Args:
            prompts (List[str]): M sentences.

        Returns:
            Tensor: (M, D) float32, rows of unit length.

        Raises:
            RuntimeError: The text tower has been freed.
        """
        return F.normalize(self._encode_text(prompts).float(), dim=-1)  # (M, D)

    def count_tokens(self, prompts: list[str]) -> Optional[tuple[list[int], int]]:
        """Count the tokens of prompts, those that mark beginning and end included.

        Args:
            prompts (List[str]): M sentences.

        Returns:
            Tuple[List[int], int] | None: M numbers, and the number of tokens that the text tower reads; it cuts off the
            rest. None if this teacher does not know, or has no text tower now.
        """
        return None

    def cut_off(self, words: list[str], templates: list[str]) -> list[str]:
        """List the words whose end the text tower does not read in some prompt.

        Args:
            words (List[str]): Phrasings of class names.
            templates (List[str]): Prompt templates.

        Returns:
            List[str]: Some of the words; none if this teacher does not know.
        """
        heads = [template.partition(SLOT)[0] for template in templates]
        lengths, most = self.count_tokens(heads) or ([], 0)
        if not lengths:
            return []
        before = heads[lengths.index(max(lengths))]  # the longest in tokens, which need not be that in characters
        counts, _ = self.count_tokens([before + word for word in words])
        return [word for word, count in zip(words, counts) if count > most]

    def train(self, mode: bool = True) -> 'BaseTeacher':
        """Stay in eval mode, whatever the student's mode: a teacher's batch norm and dropout are frozen."""
        return super().train(False)

    def init_weights(self) -> None:
        """Keep the weights: a teacher is already trained, and mmengine must not initialise it again."""

    def prepare(self) -> None:
        """Load now what is otherwise loaded at the first use; by default nothing."""

    def free_text_tower(self) -> None:
        """Drop the text tower once the bank is built; it is never needed again."""
        raise NotImplementedError

    @property
    def identity(self) -> str:
        """str: Name, settings and fingerprint of the weights. See
        :func:`~mmlgd.checkpoints.teacher_ids.same_teacher`.
        """
        raise NotImplementedError

    @property
    def has_places(self) -> bool:
        """bool: Whether :meth:`encode_places` works; known as soon as the teacher is built."""
        return self.places_tower is not None

    def check_places(self, loss: nn.Module, text: nn.Module) -> None:
        """Refuse a loss on places that this teacher does not have; called when a model is built.

        Args:
            loss (nn.Module): The model's list of terms, some of which compare places.
            text (nn.Module): Its textual bank.

        Raises:
            TeacherError: This teacher has no places.
        """
        if not self.has_places:
            raise no_places(self.tower_name)

    def settings_id(self, *choices: Any) -> str:
        """Compute a digest of all settings that change an embedding: size, statistics, interpolation and ``choices``.

        Args:
            *choices (Any): Further settings of a teacher class, as JSON can write them.

        Returns:
            str: ``settings-`` and 8 hexadecimal digits, a part of the identity.
        """
        pixels = [list(self.image_size), self.mean.flatten().tolist(), self.std.flatten().tolist(), self.interpolation]
        places = [dict(places_size=self.places_size)] if self.places_size else []  # as before where nobody sets it
        return settings_digest([pixels, *choices, *places])

    def _embed(self, images: Tensor, places: bool) -> Embedded:
        """Embed images of any size, in the teacher's statistics; not normalised."""
        return self._encode(resized(images, self.size_for(images, places), self.interpolation), places)

    def _encode(self, images: Tensor, places: bool) -> Embedded:
        """Embed images of the tower's size, likewise."""
        return self._encode_places(images) if places else Embedded(self._encode_image(images))

    def _encode_image(self, images: Tensor) -> Tensor:
        raise NotImplementedError

    def _encode_places(self, images: Tensor) -> Embedded:
        """Embed images and their places in one pass."""
        if self.places_tower is None:
            raise no_places(self.tower_name)
        return self.places_tower.of_size(tuple(images.shape[-2:]))(images)

    def _encode_text(self, prompts: list[str]) -> Tensor:
        raise NotImplementedError


def resized(images: Tensor, size: tuple[int, int], interpolation: str = 'bicubic') -> Tensor:
    """Bring images to a size, with antialiasing.

    Args:
        images (Tensor): (N, 3, H, W).
        size (Tuple[int, int]): Height and width in pixels.
        interpolation (str): ``'bicubic'`` or ``'bilinear'``. Defaults to ``'bicubic'``.

    Returns:
        Tensor: (N, 3, height, width); the images themselves if they have this size.
    """
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    return F.interpolate(images, size, mode=interpolation, antialias=True)


def no_places(name: str) -> TeacherError:
    """Make the error for a tower without places.

    Args:
        name (str): Name of the teacher or its tower.

    Returns:
        TeacherError: The error to raise.
    """
    return TeacherError(
        f'{name} has no places: no feature map is known from which a pooling makes its embedding. Take the terms with '
        f'on="places" out of the loss and places_size out of the teacher, or choose a teacher with places, for example '
        f'OpenCLIPTeacher or ConSETeacher with their default models.'
    )


def own_size(
    size: Union[int, tuple[int, int], None], usual: Optional[tuple[int, int]], name: str = 'places_size'
) -> Optional[tuple[int, int]]:
    """Read a size in pixels that differs from the usual one.

    Args:
        size (int | Tuple[int, int], optional): A side, or height and width.
        usual (Tuple[int, int], optional): The usual size.
        name (str): Name of the setting, for the error. Defaults to ``'places_size'``.

    Returns:
        Tuple[int, int] | None: Height and width; None if it is the usual size, or not given.

    Raises:
        TeacherError: It is no size.
    """
    if size is None:
        return None
    sides = (size, size) if isinstance(size, int) else size
    if not are_numbers(sides, 2, 1):
        raise TeacherError(f'Expected {name} in pixels, a number or (height, width), got {brief(size)}.')
    return None if tuple(sides) == usual else tuple(sides)


def are_numbers(value: Any, count: int, low: float) -> bool:
    """Check that a setting is a list of so many finite numbers of at least ``low``."""
    return (
        isinstance(value, (list, tuple))
        and len(value) == count
        and all(isinstance(x, Real) and low <= x < math.inf for x in value)
    )


def freeze(module: nn.Module) -> nn.Module:
    """Put a module into eval mode and turn off its gradients.

    Args:
        module (nn.Module): The module, changed in place.

    Returns:
        nn.Module: The same module.
    """
    return module.eval().requires_grad_(False)


def settings_digest(settings: list) -> str:
    """Compute a digest of settings that change an embedding.

    Args:
        settings (list): As JSON can write them.

    Returns:
        str: ``settings-`` and 8 hexadecimal digits.
    """
    return f'settings-{hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:8]}'


def weights_fingerprint(*parts: Union[nn.Module, dict[str, Tensor]]) -> str:
    """Compute the SHA-256 over names and values of all parameters and buffers: equal weights give equal strings.

    Args:
        *parts (nn.Module | Dict[str, Tensor]): Modules or their state dicts, on any device.

    Returns:
        str: 16 hexadecimal digits.

    Examples:
        >>> from torch import nn
        >>> layer = nn.Linear(2, 2)
        >>> weights_fingerprint(layer) == weights_fingerprint(layer)
        True
    """
    digest = hashlib.sha256()
    for part in parts:
        for name, value in (part if isinstance(part, dict) else part.state_dict()).items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
