"""What all families of towers with places share."""

from functools import partial
from typing import Callable, Optional

import torch
from torch import Tensor, nn

from mmlgd.errors import sentence
from mmlgd.models.embedded import Embedded
from mmlgd.models.teachers.base import TeacherError, no_places
from mmlgd.models.teachers.probing import same_output

from .sizes import for_size, has_own_size
from .strides import for_stride

Family = Callable[[nn.Module], Optional['PlacesTower']]
Maker = Callable[[nn.Module, tuple[int, int]], Optional['PlacesTower']]  # of a tower for images of a size


class PlacesTower(nn.Module):
    r"""A tower that embeds images and their places in one pass.

    A place's embedding is what the tower says if its pooling sees that place alone. It is exact for a pooling by the
    mean, and the value path for a pooling by attention (MaskCLIP, Zhou et al., ECCV 2022, arXiv 2112.01071).

    Args:
        tower (nn.Module): The frozen tower. It is not changed.

    Attributes:
        step (int): The pooling sees every ``step``-th place in each direction: more than 1 for a tower with a finer
            stride, see :func:`~mmlgd.models.teachers.places.strides.for_stride`.
    """

    step = 1

    def __init__(self, tower: nn.Module):
        super().__init__()
        self.tower = tower
        self._made: Optional[tuple[Maker, nn.Module, tuple[int, int]]] = None
        self._sizes: dict[tuple[int, int], PlacesTower] = {}

    def of_size(self, size: tuple[int, int]) -> 'PlacesTower':
        """Get the same tower for images of another size; its position embeddings are interpolated once and kept.

        Args:
            size (Tuple[int, int]): Height and width in pixels.

        Returns:
            PlacesTower: It shares the weights. The tower itself for its own size, and if any size is one to it.

        Raises:
            TeacherError: The size is no multiple of the tower's patches.
        """
        make, whole, own = self._made or (None, self.tower, size)
        if size == own or not has_own_size(whole):
            return self
        if size not in self._sizes:
            self._sizes[size] = _still(make(for_size(whole, size), size))
        return self._sizes[size]

    def _apply(self, fn, *args, **kwargs):
        self._sizes.clear()  # their position embeddings would stay on the old device
        return super()._apply(fn, *args, **kwargs)

    def forward(self, images: Tensor) -> Embedded:
        """Embed images and places.

        Args:
            images (Tensor): (N, 3, H, W), in the tower's own statistics.

        Returns:
            Embedded: (N, D) and (N, h, w, D), not normalised.
        """
        raise NotImplementedError


class MeanPlaces(PlacesTower):
    r"""Places of a tower that is a head on the mean over its last feature map F.

    .. math:: \text{image} = h\Big(\tfrac{1}{HW} \sum_{ij} F_{ij}\Big), \qquad \text{place}_{ij} = h(F_{ij})

    If the head h is linear, the mean over places is the image's output.
    """

    def features(self, images: Tensor) -> Tensor:
        """Compute the map before the pooling, (N, h, w, C)."""
        raise NotImplementedError

    def head(self, pooled: Tensor) -> Tensor:
        """Compute the tower's output for pooled features, (M, C) to (M, D)."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Embedded:
        """Embed images and places: see :class:`PlacesTower`."""
        grid = self.features(images)  # (N, h, w, C)
        places = self.head(grid.flatten(0, 2)).unflatten(0, grid.shape[:3])  # (N, h, w, D)
        return Embedded(self.head(grid[:, :: self.step, :: self.step].mean((1, 2))), places)


def find_places(
    tower: nn.Module,
    family: Family,
    image_size: tuple[int, int],
    places_size: Optional[tuple[int, int]],
    name: str,
    places_stride: Optional[int] = None,
) -> Optional[PlacesTower]:
    """Give a tower places, if its family knows how.

    Args:
        tower (nn.Module): The frozen tower.
        family (Callable): Makes its :class:`PlacesTower`; None for a tower of another structure.
        image_size (Tuple[int, int]): Height and width of the tower's images in pixels.
        places_size (Tuple[int, int], optional): Height and width of the images whose places are asked for. None for
            ``image_size``.
        name (str): Name of the tower, for errors.
        places_stride (int, optional): Pixels from place to place, a power of 2. Defaults to None: the tower's own.

    Returns:
        PlacesTower | None: None if the tower has no places: its output is not what the family expects, checked by a
        random batch.

    Raises:
        TeacherError: The tower cannot take images of ``places_size``, cannot have places every ``places_stride``
            pixels, or has no places at all.
    """
    make: Maker = partial(_own, family)
    places = _checked(make, tower, image_size)
    if places is None:
        if places_size is None and places_stride is None:
            return None
        raise no_places(name)
    if places_stride is not None:
        make = partial(_finer, family, places_stride)
        places = _checked(make, tower, image_size)
        if places is None or places.step < 2:
            raise TeacherError(
                f'{name} cannot have places_stride={places_stride}. It must be a power of 2 and less than the '
                f"tower's own stride, and only towers of convolutions can have it, without squeeze-and-excitation."
            )
    if places_size is None:
        return _made(places, make, tower, image_size)
    try:
        places = make(for_size(tower, places_size), places_size)
        like = next(tower.parameters(), torch.zeros(()))
        with torch.no_grad():
            places(torch.zeros(1, 3, *places_size).to(like))
    except Exception as error:  # each library refuses a size in its own way
        raise TeacherError(
            f'{name} cannot take places_size={places_size}: {sentence(error)} Its own images have {image_size}; '
            f'a multiple of that fits most towers.'
        ) from error
    return _made(_still(places), make, tower, places_size)


def _made(places: PlacesTower, make: Maker, tower: nn.Module, size: tuple[int, int]) -> PlacesTower:
    """Remember how places were made, for other sizes; in a tuple, the tower is no sub-module a second time."""
    places._made = (make, tower, size)
    return places


def _own(family: Family, tower: nn.Module, size: tuple[int, int]) -> Optional[PlacesTower]:
    """Make places that lie as far apart as the tower has them."""
    return family(tower)


def _finer(family: Family, stride: int, tower: nn.Module, size: tuple[int, int]) -> Optional[PlacesTower]:
    """Make places that lie ``stride`` pixels apart; the image's embedding stays the same."""
    own, finer = family(tower), family(for_stride(tower, stride, size))
    images = torch.zeros(1, 3, *size).to(next(tower.parameters()))
    with torch.no_grad():
        finer.step = round(size[0] / own(images).places.shape[1] / stride)
    return finer


def _checked(make: Maker, tower: nn.Module, image_size: tuple[int, int]) -> Optional[PlacesTower]:
    try:
        places = make(tower, image_size)
        if places is not None and same_output(tower, lambda images: places(images).image, image_size):
            return _still(places)
    except Exception:  # a tower of another structure can fail anywhere in it
        pass
    return None


def _still(places: PlacesTower) -> PlacesTower:
    """Set eval mode in its own containers, too; the tower's modules are in it, and some cannot be asked once more."""
    for module in places.modules():
        module.training = False
    return places
