"""Places of timm's models: trunks of open_clip's towers, and classifiers."""

from typing import Optional

from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from mmlgd.models.embedded import Embedded

from .base import MeanPlaces, PlacesTower
from .blocks import alone, is_known
from .values import has_value, value_alone


def timm_places(model: nn.Module, head: nn.Module, residual: bool = False, mlp: bool = False) -> Optional[PlacesTower]:
    """Choose the places of a timm model.

    Args:
        model (nn.Module): The model.
        head (nn.Module): What follows it, (M, C) to (M, D).
        residual (bool): Keep the residual of the last block, for transformers with a class token. Defaults to False.
        mlp (bool): Keep the MLP of the last block, likewise. Defaults to False.

    Returns:
        PlacesTower | None: None if its structure is another one.
    """
    if not isinstance(model, (Eva, VisionTransformer)):
        return _MapPlaces(model, head)
    if model.attn_pool is not None:
        return _PoolerPlaces(model, head) if has_value(model.attn_pool) else None
    if model.global_pool == 'avg':
        return _MeanTokenPlaces(model, head)
    known = model.global_pool == 'token' and len(model.blocks) > 1 and is_known(model.blocks[-1])
    return _ClassTokenPlaces(model, head, residual, mlp) if known else None


class _TimmPlaces(PlacesTower):
    def __init__(self, model: nn.Module, after: nn.Module):
        super().__init__(model)
        self.after = after


class _MapPlaces(MeanPlaces, _TimmPlaces):
    """Models with a feature map (ConvNeXt, FastViT, Swin and all convolutional ones): their head at each position."""

    def features(self, images: Tensor) -> Tensor:
        x = self.tower.forward_features(images)
        return x if self.is_channels_last else x.permute(0, 2, 3, 1)

    def head(self, pooled: Tensor) -> Tensor:
        pooled = pooled[:, None, None] if self.is_channels_last else pooled[:, :, None, None]  # maps of one position
        return self.after(self.tower.forward_head(pooled))

    @property
    def is_channels_last(self) -> bool:
        return getattr(self.tower, 'output_fmt', 'NCHW') == 'NHWC'


class _OfTokens(_TimmPlaces):
    def to_grid(self, tokens: Tensor, images: Tensor) -> Tensor:
        grid = self.tower.patch_embed.dynamic_feat_size(tuple(images.shape[-2:]))
        return tokens.unflatten(0, (len(images), *grid))

    def tokens_of_places(self, tokens: Tensor) -> Tensor:
        return tokens[:, self.tower.num_prefix_tokens :].flatten(0, 1)  # (N * h * w, C)

    def head(self, pooled: Tensor) -> Tensor:
        return self.after(self.tower.head(self.tower.fc_norm(pooled)))


class _MeanTokenPlaces(_OfTokens, MeanPlaces):
    """Transformers that average their tokens (ViTamin): their head at each token."""

    def features(self, images: Tensor) -> Tensor:
        return self.to_grid(self.tokens_of_places(self.tower.forward_features(images)), images)


class _PoolerPlaces(_OfTokens):
    """Transformers with a pooling by attention (SigLIP, PE): value, output projection and MLP of the pooling."""

    def forward(self, images: Tensor) -> Embedded:
        tokens = self.tower.forward_features(images)
        places = value_alone(self.tower.attn_pool, self.tokens_of_places(tokens))
        return Embedded(self.after(self.tower.forward_head(tokens)), self.to_grid(self.head(places), images))


class _ClassTokenPlaces(_OfTokens):
    """Transformers with a class token (EVA, MobileCLIP-B): the last block for each token alone, norm, projection."""

    has_block = True

    def __init__(self, model: nn.Module, after: nn.Module, residual: bool, mlp: bool):
        super().__init__(model, after)
        self.residual, self.mlp = residual, mlp

    def forward(self, images: Tensor) -> Embedded:
        model = self.tower
        before = len(model.blocks) - 2
        tokens, (x,) = model.forward_intermediates(images, indices=[before], output_fmt='NLC')  # x: (N, h * w, C)
        places = model.norm(alone(model.blocks[-1], x.flatten(0, 1), self.residual, self.mlp))
        return Embedded(self.after(model.forward_head(tokens)), self.to_grid(self.head(places), images))
