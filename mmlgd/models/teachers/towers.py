"""Teachers whose image tower is a vision transformer of timm: the form that TIPS and C-RADIO share."""

from pathlib import Path
from typing import Any, Optional, Union

import timm
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from mmlgd.models.compilation import compile_module

from .base import BaseTeacher, TeacherError, freeze, own_size, weights_fingerprint
from .foreign import check_file
from .places.base import PlacesTower, find_places
from .places.timm_models import timm_places
from .weights import cause

State = dict[str, Tensor]


class Tower(nn.Module):
    """A transformer of timm and the head behind its class token.

    Args:
        trunk (nn.Module): The transformer without a classifier; it pools its class token.
        head (nn.Module): Maps (N, C) to (N, D).
    """

    def __init__(self, trunk: nn.Module, head: nn.Module):
        super().__init__()
        self.trunk, self.head = trunk, head

    def forward(self, images: Tensor) -> Tensor:
        """Embed images.

        Args:
            images (Tensor): (N, 3, H, W), in the tower's own statistics.

        Returns:
            Tensor: (N, D), not normalised.
        """
        return self.head(self.trunk(images))


class TowerTeacher(BaseTeacher):
    """The base class of teachers with such a tower. Subclasses add the text half.

    Places are those of a class token: the last block for each token alone, the final norm, the head.

    Args:
        model (str): The transformer, by timm's name.
        state (Dict[str, Tensor]): Its published weights, in a layout that timm knows.
        head (nn.Module): Maps (N, C) to (N, D).
        embed_dim (int): D.
        image_size (int | Tuple[int, int], optional): Height and width in pixels. None for the size in timm's settings.
        interpolation (str): As for :class:`BaseTeacher`.
        compile (bool | str): As for :class:`~mmlgd.OpenCLIPTeacher`.
        places_size (int | Tuple[int, int], optional): As for :class:`BaseTeacher`.
        places_residual (bool): Keep the residual of the last block for places.
        places_mlp (bool): Keep the MLP of the last block for places.
        statistics (dict, optional): ``mean`` and ``std`` of RGB images in 0..1, where the weights have them. Defaults
            to None: timm's.

    Raises:
        TeacherError: timm has no such transformer, the weights do not fit it, or it cannot take the sizes.
    """

    def __init__(
        self,
        model: str,
        state: State,
        head: nn.Module,
        embed_dim: int,
        image_size: Union[int, tuple[int, int], None],
        interpolation: str,
        compile: Union[bool, str],
        places_size: Union[int, tuple[int, int], None],
        places_residual: bool,
        places_mlp: bool,
        statistics: Optional[dict[str, list[float]]] = None,
    ):
        trunk = load_trunk(model, state, own_size(image_size, None, 'image_size'))
        pixels = statistics or trunk.pretrained_cfg
        super().__init__(
            embed_dim=embed_dim,
            image_size=trunk.patch_embed.img_size,
            mean=pixels['mean'],
            std=pixels['std'],
            interpolation=interpolation,
            places_size=places_size,
        )
        self.image_tower = freeze(Tower(trunk, head))
        self.tower_name = f'The image tower {model}'
        self.block = dict(residual=places_residual, mlp=places_mlp)
        self.places_tower = tower_places(self.image_tower, self.image_size, self.places_size, **self.block)
        compile_module(self.image_tower, "the teacher's image tower", compile)
        if self.places_tower is not None:
            compile_module(self.places_tower, "the teacher's image tower with places", compile)

    def identity_of(self, kind: str, label: str, positions: Tensor, text: nn.Module, *choices: Any) -> str:
        """Write the identity of this teacher.

        Args:
            kind (str): The kind of teacher, as :mod:`~mmlgd.checkpoints.teacher_ids` knows it.
            label (str): The origin of the weights.
            positions (Tensor): (1, T, C), position embeddings of the file. Those of the tower may be resized, and
                processors resize them a little differently.
            text (nn.Module): The text half.
            *choices (Any): Further settings that change an embedding, as JSON can write them.

        Returns:
            str: ``KIND/LABEL/SETTINGS/FINGERPRINT``.
        """
        settings = self.settings_id(self.block, *choices)
        trained = {**self.image_tower.state_dict(), 'trunk.pos_embed': positions.float()}
        return f'{kind}/{label}/{settings}/{weights_fingerprint(trained, text)}'

    def _encode_image(self, images: Tensor) -> Tensor:
        return self.image_tower(images)  # (N, D)


def tower_places(
    tower: Tower,
    image_size: tuple[int, int],
    places_size: Optional[tuple[int, int]] = None,
    residual: bool = False,
    mlp: bool = False,
) -> Optional[PlacesTower]:
    """Give a tower places.

    Args:
        tower (Tower): The frozen tower.
        image_size (Tuple[int, int]): Height and width of its images in pixels.
        places_size (Tuple[int, int], optional): As for :class:`BaseTeacher`. Defaults to None.
        residual (bool): Keep the residual of the last block. Defaults to False.
        mlp (bool): Keep the MLP of the last block. Defaults to False.

    Returns:
        PlacesTower | None: None if timm's model is of another structure.

    Raises:
        TeacherError: The tower cannot take images of ``places_size``.
    """

    def family(tower: Tower) -> Optional[PlacesTower]:
        return timm_places(tower.trunk, tower.head, residual, mlp)

    name = f'The image tower {tower.trunk.pretrained_cfg["architecture"]}'
    return find_places(tower, family, image_size, places_size, name)


def load_trunk(model: str, state: State, image_size: Optional[tuple[int, int]]) -> VisionTransformer:
    """Build a transformer of timm with published weights.

    Args:
        model (str): Its name.
        state (Dict[str, Tensor]): The weights, in the layout of their authors; timm brings them to its own, and their
            position embeddings to ``image_size``.
        image_size (Tuple[int, int], optional): Height and width in pixels. None for the size in timm's settings.

    Returns:
        VisionTransformer: The transformer, which pools its class token.

    Raises:
        TeacherError: timm has no such transformer, the weights do not fit it, or it cannot take images of this size.
    """
    if not timm.is_model(model):
        raise TeacherError(
            f'timm {timm.__version__} has no model {model!r}. TIPSv2 needs timm 1.0.28, C-RADIO 1.0.31: '
            f'pip install "mmlgd[teachers]". `timm.list_models("*tipsv2*")` and `"*radio*"` list '
            f'theirs.'
        )
    own = {} if image_size is None else dict(img_size=image_size)
    # timm reads given tensors as it reads a file: its own filter renames them, and every one must be there.
    given = dict(state_dict=state)
    try:
        trunk = timm.create_model(
            model, pretrained=True, pretrained_cfg_overlay=given, num_classes=0, global_pool='token', **own
        )
    except Exception as error:  # of timm or torch: missing tensors, other shapes, an impossible size
        raise TeacherError(
            f'Could not load the weights into {model}: {cause(error)}. The weights are of another model, or an image '
            f'size is no multiple of its patches.'
        ) from error
    if not isinstance(trunk, VisionTransformer):
        raise TeacherError(f'{model} is a {type(trunk).__name__} of timm, expected a VisionTransformer.')
    size, patch = trunk.patch_embed.img_size, trunk.patch_embed.patch_size
    if any(pixels % side for pixels, side in zip(size, patch)):  # timm would not look at the pixels that are left
        raise TeacherError(f'{model} cannot take image_size={size}: expected multiples of {patch} pixels.')
    del trunk.pretrained_cfg['state_dict']  # timm keeps what it was given
    return trunk


def read_tensors(file: Path) -> State:
    """Read a file of tensors alone.

    Args:
        file (Path): Of safetensors.

    Returns:
        Dict[str, Tensor]: Its tensors.

    Raises:
        TeacherError: It is damaged.
        UnreadableError: It is missing, no regular file, or declares too large a header.
    """
    check_file(file)
    try:
        return load_file(file)
    except Exception as error:  # of safetensors, which has one of its own
        raise TeacherError(f'{file} is damaged: {cause(error)}. Copy it again.') from error
