"""Places of networks without a head; of transformers with a class token, these are the patch tokens."""

import copy
from typing import Optional

from torch import Tensor, nn

from mmlgd.models.embedded import Embedded
from mmlgd.models.places import place_map
from mmlgd.models.teachers.places.base import PlacesTower
from mmlgd.models.teachers.places.classifiers import places_of_classifier


def places_of_network(network: nn.Module) -> Optional[PlacesTower]:
    """Choose the places of a network without its head, unchecked.

    Args:
        network (nn.Module): Of :func:`~mmlgd.models.teachers.looks.network.without_head`.

    Returns:
        PlacesTower | None: The family of classifiers where it knows the network; patch tokens for transformers with a
        class token. None if its structure is another one.
    """
    if getattr(network, 'num_prefix_tokens', 0) and hasattr(network, 'patch_embed'):
        return _TimmTokens(network)
    if not hasattr(getattr(network, 'model', None), 'extract_feat'):
        return places_of_classifier(network)
    if getattr(network.model.backbone, 'out_type', '') == 'cls_token':
        return _MMPretrainTokens(network)
    return places_of_classifier(nn.Sequential(*network.before, network.model))


class _TimmTokens(PlacesTower):
    """timm's Vision Transformers and EVA (DINOv2, DINOv3)."""

    def forward(self, images: Tensor) -> Embedded:
        tokens = self.tower.forward_features(images)  # (N, T, C)
        grid = self.tower.patch_embed.dynamic_feat_size(tuple(images.shape[-2:]))
        places = tokens[:, self.tower.num_prefix_tokens :].unflatten(1, grid)  # (N, h, w, C)
        return Embedded(self.tower.forward_head(tokens, pre_logits=True), places)


class _MMPretrainTokens(PlacesTower):
    """mmpretrain's Vision Transformers, whose class token is the image."""

    def __init__(self, tower: nn.Module):
        super().__init__(tower)
        self.backbone = copy.copy(tower.model.backbone)  # the same modules, asked for all tokens
        self.backbone.out_type = 'raw'

    def forward(self, images: Tensor) -> Embedded:
        tokens = self.backbone(self.tower.before(images))  # ((N, T, C),)
        places = place_map(tokens, self.backbone, tuple(images.shape[-2:]))
        return Embedded(tokens[-1][:, 0], places.permute(0, 2, 3, 1))
