"""A network without its head: what it says about looks, before it says anything about names."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional, Union

import torch
from torch import Tensor, nn

from mmlgd.errors import sentence
from mmlgd.models.compilation import compile_module
from mmlgd.models.embedded import Embedded
from mmlgd.models.necks import pooled
from mmlgd.models.teachers.base import (
    TeacherError,
    are_numbers,
    freeze,
    no_places,
    own_size,
    settings_digest,
    weights_fingerprint,
)
from mmlgd.models.teachers.classifiers import load_classifier
from mmlgd.models.teachers.folding import fold_batch_norm
from mmlgd.models.teachers.places.base import MeanPlaces, find_places
from mmlgd.models.teachers.places.sizes import for_size, shared_copy
from mmlgd.models.teachers.probing import same_output
from mmlgd.utils.validation import checked_settings

from .tokens import places_of_network

Size = tuple[int, int]


class Headless(NamedTuple):
    """A network in two parts.

    Attributes:
        network (nn.Module): Maps (N, 3, H, W) to (N, C): features, pooled as the model does.
        head (nn.Linear, optional): Maps them to its logits. None if the model had no such head.
    """

    network: nn.Module
    head: Optional[nn.Linear]


class LooksNetwork(nn.Module):
    """A frozen backbone with its own image size and statistics, whose pooled features are read.

    Args:
        backbone (str | nn.Module): ``'library:model'``, see
            :func:`~mmlgd.models.teachers.classifiers.load_classifier`, or a module that maps (N, 3, H, W) to (N, C)
            features, or to logits by a linear layer on them.
        weights (str | bool): True for the library's pretrained weights, a path for a local file, False for random ones.
            Defaults to True.
        image_size (int | Tuple[int, int], optional): Side, or height and width in pixels; required for a module.
            Defaults to None: the backbone's own.
        mean (Sequence[float], optional): RGB mean in 0..1, likewise. Defaults to None.
        std (Sequence[float], optional): RGB standard deviation in 0..1, likewise. Defaults to None.
        places_size (int | Tuple[int, int], optional): The same of the images when places are asked for. Defaults to
            None: ``image_size``.
        compile (bool | str): Compile it with ``torch.compile`` where the platform can; ``'auto'``: only on a GPU.
            Defaults to False.

    Attributes:
        channels (int): C.
        head (nn.Linear, optional): Its own head, on these features.
        label (str): Its name, without folders.
        fingerprint (str): Of its weights, without the head.

    Raises:
        TeacherError: A module has no size and statistics, no head is found on a classifier, or it cannot take images
            of these sizes.
    """

    @checked_settings
    def __init__(
        self,
        backbone: Union[str, nn.Module],
        weights: Union[str, bool] = True,
        image_size: Union[int, Size, None] = None,
        mean: Optional[Sequence[float]] = None,
        std: Optional[Sequence[float]] = None,
        places_size: Union[int, Size, None] = None,
        compile: Union[bool, str] = False,
    ):
        super().__init__()
        self.label = f'{Path(backbone).name}' if isinstance(backbone, str) else type(backbone).__name__
        module, trained_size = backbone, None
        if isinstance(backbone, str):
            module, trained_size, own_mean, own_std = load_classifier(backbone, weights)
            mean, std = mean or own_mean, std or own_std
        size = own_size(image_size, None, 'image_size') or trained_size
        if size is None or not are_numbers(mean, 3, -1e6) or not are_numbers(std, 3, 1e-6):
            raise TeacherError(
                f'The looks of {self.label} need image_size, mean and std (RGB, 0..1), which it does not define; give '
                f'them: image_size={image_size}, mean={mean}, std={std}.'
            )
        self.image_size, self.places_size = tuple(size), own_size(places_size, tuple(size))
        self.mean, self.std = [float(x) for x in mean], [float(x) for x in std]
        network, self.head = without_head(freeze(module), self.label, trained_size or self.image_size)
        # of what was trained: processors resize it a little differently
        self.fingerprint = weights_fingerprint(network)
        network, self.channels = self._at_size(network, trained_size)
        self.network = fold_batch_norm(network, self.image_size)
        self.places_tower = find_places(
            self.network, places_of_network, self.image_size, self.places_size, f'The network {self.label}'
        )
        compile_module(self.network, 'the network of looks', compile)
        if self.places_tower is not None:
            compile_module(self.places_tower, 'the network of looks with places', compile)
        self.eval()

    @property
    def has_places(self) -> bool:
        """bool: Whether its places are known."""
        return self.places_tower is not None

    @property
    def averages_places(self) -> bool:
        """bool: Whether an image is the mean over its places, up to a head, so that both are features of one kind."""
        return isinstance(self.places_tower, MeanPlaces)

    @property
    def settings(self) -> str:
        """str: A digest of size and statistics of its images."""
        return settings_digest([self.image_size, self.mean, self.std, self.places_size])

    def size_of(self, places: bool) -> Size:
        """Tell the height and width of its images in pixels, with and without places."""
        return (self.places_size if places else None) or self.image_size

    def forward(self, images: Tensor, places: bool = False) -> Embedded:
        """Compute features.

        Args:
            images (Tensor): (N, 3, H, W), RGB, in its own statistics and size.
            places (bool): Compute those of places, too, from the same pass. Defaults to False.

        Returns:
            Embedded: (N, C), and (N, h, w, C) with ``places``; not normalised.

        Raises:
            TeacherError: It has no places.
        """
        if not places:
            return Embedded(self.network(images))
        if self.places_tower is None:
            raise no_places(f'The network {self.label}')
        return self.places_tower.of_size(tuple(images.shape[-2:]))(images)

    def train(self, mode: bool = True) -> 'LooksNetwork':
        """Stay in eval mode."""
        return super().train(False)

    def _at_size(self, network: nn.Module, trained_size: Optional[Size]) -> tuple[nn.Module, int]:
        try:
            if trained_size not in (None, self.image_size):
                network = for_size(network, self.image_size)
            like = next(network.parameters(), torch.zeros(()))
            with torch.no_grad():
                found = network(torch.zeros(1, 3, *self.image_size).to(like))
        except Exception as error:  # each library refuses a size in its own way
            raise TeacherError(
                f'The network {self.label} cannot take images of {self.image_size}: {sentence(error)} Give another '
                f'image_size, a multiple of its patches for a transformer.'
            ) from error
        if not isinstance(found, Tensor) or found.ndim != 2:
            raise TeacherError(
                f'The network {self.label} gives {getattr(found, "shape", type(found).__name__)}, expected features '
                f'(N, C) of each image. Give a module that pools them.'
            )
        return network, found.shape[1]


def without_head(model: nn.Module, label: str, image_size: Size) -> Headless:
    """Take the linear head off a classifier; a network without one is left as it is.

    Args:
        model (nn.Module): A frozen model of timm, torchvision, mmpretrain or EfficientNet-Lite, or a module.
        label (str): Its name, for errors.
        image_size (Tuple[int, int]): Height and width of its images in pixels.

    Returns:
        Headless: It shares the model's weights. The split is checked by a random batch.

    Raises:
        TeacherError: It is a classifier of a library, and its head is not a linear layer at its end.
    """
    last = model[-1] if isinstance(model, nn.Sequential) else model
    if hasattr(last, 'extract_feat'):
        model = _MMPretrain(model)
    linears = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if linears:
        network = shared_copy(model)
        parent, _, name = linears[-1].rpartition('.')
        head = getattr(network.get_submodule(parent), name)
        setattr(network.get_submodule(parent), name, nn.Identity())
        if _is_split(model, network, head, image_size):
            return Headless(network, head)
    if getattr(last, 'num_classes', 0) and hasattr(last, 'reset_classifier'):  # timm's heads of other kinds
        network = shared_copy(model)
        network.reset_classifier(0)
        return Headless(freeze(network), None)
    is_classifier = getattr(last, 'num_classes', 0) or getattr(last, 'with_head', False)  # with_head: mmpretrain
    if is_classifier or type(last).__module__.startswith('torchvision.models'):
        raise TeacherError(
            f'The network {label} has no linear layer at its end, so its features cannot be told from its classes. '
            f'Give another network, or a module that returns features.'
        )
    return Headless(model, None)


def _is_split(model: nn.Module, network: nn.Module, head: nn.Linear, image_size: Size) -> bool:
    try:
        return same_output(model, lambda images: head(network(images)), image_size)
    except Exception:  # the layer was not the last one, so that what follows fails in any way
        return False


class _MMPretrain(nn.Module):
    """mmpretrain's models: logits, or the pooled output of those without a head."""

    def __init__(self, model: nn.Module):
        super().__init__()
        *before, self.model = model if isinstance(model, nn.Sequential) else [model]
        self.before = nn.Sequential(*before)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        found = self.model(self.before(images))
        return found if isinstance(found, Tensor) else pooled(found)
