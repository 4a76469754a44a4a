"""Places of classifiers: their head at each position of the map before the pooling."""

import copy
from typing import Optional

from torch import Tensor, nn

from .base import MeanPlaces, PlacesTower, find_places
from .sizes import shared_copy
from .timm_models import timm_places


def classifier_places(
    classifier: nn.Module,
    image_size: tuple[int, int],
    places_size: Optional[tuple[int, int]] = None,
    name: str = 'The classifier',
) -> Optional[PlacesTower]:
    """Give a classifier places.

    Args:
        classifier (nn.Module): A frozen classifier of torchvision, timm, mmpretrain, EfficientNet-Lite, or any module
            whose children are the layers up to the pooling, the pooling, and the head.
        image_size (Tuple[int, int]): Height and width of its images in pixels.
        places_size (Tuple[int, int], optional): Height and width of the images whose places are asked for. Defaults to
            None, ``image_size``.
        name (str): Name of the classifier, for errors. Defaults to ``'The classifier'``.

    Returns:
        PlacesTower | None: Logits of images and places. None if the classifier is not a head on the mean over a
        feature map.

    Raises:
        TeacherError: The classifier cannot take images of ``places_size``.

    Examples:
        >>> import torch
        >>> layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
        >>> classifier_places(layers, (8, 8))(torch.rand(2, 3, 8, 8)).places.shape
        torch.Size([2, 6, 6, 5])
    """
    return find_places(classifier, places_of_classifier, image_size, places_size, name)


def places_of_classifier(classifier: nn.Module) -> Optional[PlacesTower]:
    last = classifier[-1] if isinstance(classifier, nn.Sequential) else classifier  # behind a change of channels
    if hasattr(classifier, 'forward_head'):
        places = timm_places(classifier, nn.Identity())
        # A place of a class token was tried with CLIP alone, not with classifiers.
        return None if getattr(places, 'has_block', False) else places
    if hasattr(last, 'extract_feat'):
        return _MMPretrainPlaces(classifier)
    if hasattr(classifier, 'extract_features'):
        return _LitePlaces(classifier)
    return _LayerPlaces(classifier)


class _MMPretrainPlaces(MeanPlaces):
    """mmpretrain's ImageClassifier: a backbone, global average pooling, and a head where it has one."""

    def __init__(self, tower: nn.Module):
        super().__init__(tower)
        *before, self.model = tower if isinstance(tower, nn.Sequential) else [tower]
        self.before = nn.Sequential(*before)
        self.trunk, self.norm = _unpooled(self.model.backbone)

    def features(self, images: Tensor) -> Tensor:
        return self.trunk(self.before(images))[-1].permute(0, 2, 3, 1)

    def head(self, pooled: Tensor) -> Tensor:
        found = self.norm(pooled)
        return self.model.head((found,)) if self.model.with_head else found


def _unpooled(backbone: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Let a backbone of mmpretrain that pools by itself give its map, and the norm behind that pooling."""
    if getattr(backbone, 'out_type', '') == 'avg_featmap':  # transformers whose image is the mean of its tokens
        trunk = copy.copy(backbone)  # the same modules
        trunk.out_type = 'featmap'
        return trunk, getattr(backbone, 'ln2', nn.Identity())  # RevViT has its norm before the mean
    if getattr(backbone, 'gap_before_final_norm', False):  # ConvNeXt and the like
        last, trunk = f'norm{backbone.out_indices[-1]}', shared_copy(backbone)
        of_map = getattr(trunk, last)
        trunk.gap_before_final_norm = False
        setattr(trunk, last, nn.Identity())
        norm = nn.LayerNorm(of_map.normalized_shape, of_map.eps)  # some of theirs take maps alone
        norm.weight, norm.bias = of_map.weight, of_map.bias
        return trunk, norm
    return backbone, nn.Identity()


class _LitePlaces(MeanPlaces):
    """EfficientNet-Lite."""

    def features(self, images: Tensor) -> Tensor:
        return self.tower.extract_features(images).permute(0, 2, 3, 1)

    def head(self, pooled: Tensor) -> Tensor:
        return self.tower._fc(pooled)


class _LayerPlaces(MeanPlaces):
    """A module that runs its children in order (most of torchvision's): a trunk, a global pooling, a head."""

    def __init__(self, tower: nn.Module):
        super().__init__(tower)
        layers = list(tower.children())
        pools = [k for k, layer in enumerate(layers) if isinstance(layer, nn.AdaptiveAvgPool2d)]
        trunk, after = (pools[-1], pools[-1] + 1) if pools else (-1, -1)  # some pool by a function
        self.trunk, self.layers = nn.Sequential(*layers[:trunk]), nn.Sequential(*layers[after:])
        self.flattens = any(isinstance(layer, nn.Flatten) for layer in self.layers.modules())

    def features(self, images: Tensor) -> Tensor:
        return self.trunk(images).permute(0, 2, 3, 1)

    def head(self, pooled: Tensor) -> Tensor:
        return self.layers(pooled[:, :, None, None] if self.flattens else pooled)
