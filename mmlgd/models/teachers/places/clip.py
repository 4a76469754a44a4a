"""Places of open_clip's image towers."""

from functools import partial
from typing import Optional

from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from mmlgd.models.embedded import Embedded
from mmlgd.models.teachers.base import TeacherError

from .base import MeanPlaces, PlacesTower, find_places
from .blocks import alone, is_known
from .timm_models import timm_places
from .values import value_alone


def open_clip_places(
    tower: nn.Module,
    image_size: tuple[int, int],
    places_size: Optional[tuple[int, int]] = None,
    residual: bool = False,
    mlp: bool = False,
    name: str = 'The image tower',
    places_stride: Optional[int] = None,
) -> Optional[PlacesTower]:
    """Give an image tower of open_clip places.

    Args:
        tower (nn.Module): The frozen tower; a ResNet has mmlgd's ``PooledTokenAttention``.
        image_size (Tuple[int, int]): Height and width of its images in pixels.
        places_size (Tuple[int, int], optional): Height and width of the images whose places are asked for. Defaults to
            None, ``image_size``.
        residual (bool): Keep the residual of the last block, for towers with a class token. Defaults to False.
        mlp (bool): Keep the MLP of the last block, likewise. Defaults to False.
        name (str): Name of the tower, for errors. Defaults to ``'The image tower'``.
        places_stride (int, optional): Pixels from place to place, a power of 2. Defaults to None: the tower's own.

    Returns:
        PlacesTower | None: None if the tower has no places.

    Raises:
        TeacherError: The tower cannot take images of ``places_size``, cannot have places every ``places_stride``
            pixels, or has no class token for ``residual`` or ``mlp``.
    """
    family = partial(tower_places, residual=residual, mlp=mlp)
    places = find_places(tower, family, image_size, places_size, name, places_stride)
    if (residual or mlp) and not getattr(places, 'has_block', False):
        raise TeacherError(
            f'{name} has no class token, so that its places do not pass its last block alone: '
            f'places_residual={residual} and places_mlp={mlp} mean nothing to it. Leave them out.'
        )
    return places


def tower_places(tower: nn.Module, residual: bool = False, mlp: bool = False) -> Optional[PlacesTower]:
    """Choose the places of an image tower, unchecked: see :func:`open_clip_places`.

    Args:
        tower (nn.Module): The tower.
        residual (bool): Keep the residual of the last block. Defaults to False.
        mlp (bool): Keep the MLP of the last block. Defaults to False.

    Returns:
        PlacesTower | None: None if its structure is another one.
    """
    if isinstance(tower, ModifiedResNet):
        return _ResNetPlaces(tower)
    if isinstance(tower, TimmModel):
        return timm_places(tower.trunk, tower.head, residual, mlp)
    if not isinstance(tower, VisionTransformer):
        return None
    if tower.attn_pool is not None:
        return _PoolerPlaces(tower) if tower.attn_pool_contrastive is None else None
    if tower.pool_type == 'avg':
        return _MeanTokenPlaces(tower)
    known = tower.pool_type == 'tok' and is_known(tower.transformer.resblocks[-1])
    return _ClassTokenPlaces(tower, residual, mlp) if known else None


class _ResNetPlaces(PlacesTower):
    """CLIP's ResNets: value and output projection of the attention pooling at each position."""

    def forward(self, images: Tensor) -> Embedded:
        tower, x = self.tower, images
        for stage in (tower.stem, tower.layer1, tower.layer2, tower.layer3, tower.layer4):
            x = stage(x)
        return tower.attnpool.with_places(x, self.step)


class _OfTokens(PlacesTower):
    """Vision transformers: tokens after a number of blocks."""

    def embed(self, images: Tensor, blocks: list[nn.Module]) -> Tensor:
        x = self.tower._embeds(images)
        for block in blocks:
            x = block(x)
        return x  # (N, 1 + h * w, C)

    def to_grid(self, tokens: Tensor, images: Tensor) -> Tensor:
        height, width = (pixels // side for pixels, side in zip(images.shape[-2:], self.tower.patch_size))
        return tokens.unflatten(0, (len(images), height, width))


class _ClassTokenPlaces(_OfTokens):
    """CLIP's transformers: the last block for each token alone, the final norm, the projection."""

    has_block = True

    def __init__(self, tower: VisionTransformer, residual: bool, mlp: bool):
        super().__init__(tower)
        self.residual, self.mlp = residual, mlp

    def forward(self, images: Tensor) -> Embedded:
        tower = self.tower
        *blocks, last = tower.transformer.resblocks
        x = self.embed(images, blocks)
        pooled, _ = tower._pool(last(x))
        places = tower.ln_post(alone(last, x[:, 1:].flatten(0, 1), self.residual, self.mlp))
        return Embedded(pooled @ tower.proj, self.to_grid(places @ tower.proj, images))


class _MeanTokenPlaces(MeanPlaces, _OfTokens):
    """CLIPA's transformers: tokens are averaged, then or before normalised, and projected."""

    def features(self, images: Tensor) -> Tensor:
        x = self.embed(images, self.tower.transformer.resblocks)
        x = x if self.tower.final_ln_after_pool else self.tower.ln_post(x)
        return self.to_grid(x[:, 1:].flatten(0, 1), images)

    def head(self, pooled: Tensor) -> Tensor:
        pooled = self.tower.ln_post(pooled) if self.tower.final_ln_after_pool else pooled
        return pooled @ self.tower.proj


class _PoolerPlaces(_OfTokens):
    """CoCa's transformers: value and output projection of the attentional pooling, the final norm, the projection."""

    def forward(self, images: Tensor) -> Embedded:
        tower, pool = self.tower, self.tower.attn_pool
        x = self.embed(images, tower.transformer.resblocks)
        pooled, _ = tower._pool(x)
        places = tower.ln_post(value_alone(pool.attn, pool.ln_k(x[:, 1:].flatten(0, 1))))
        return Embedded(pooled @ tower.proj, self.to_grid(places @ tower.proj, images))
