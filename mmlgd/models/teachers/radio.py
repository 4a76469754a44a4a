"""C-RADIO as the teacher: timm's image tower, the head of its SigLIP 2 adaptor, and the text tower of SigLIP 2."""

import os
from pathlib import Path
from typing import Optional, Union

import torch
from torch import Tensor, nn

from mmlgd.checkpoints.files import read_checkpoint
from mmlgd.checkpoints.teacher_ids import teacher_key
from mmlgd.errors import MissingFileError
from mmlgd.registry import MODELS
from mmlgd.utils.validation import checked_settings

from .base import BaseTeacher, TeacherError
from .settings import build_teacher
from .towers import State, TowerTeacher, read_tensors
from .weights import cause

# Names in the published file, https://github.com/NVlabs/RADIO/blob/main/hubconf.py, and the prefix by which timm knows
# the tensors of its tower, of the same weights as saved by transformers.
_TOWER, _AS_TIMM_READS, _HEADS, _STATISTICS = 'base_model.', 'radio_model.model.', '_heads.', 'input_conditioner.norm_'
_POSITIONS = 'patch_generator.pos_embed'
_SUMMARIES = 'patch_generator.cls_token.token'  # one row for each teacher of C-RADIO's own training, then registers


@MODELS.register_module()
class RADIOTeacher(TowerTeacher):
    """C-RADIO v3 or v4 (NVIDIA, arXiv 2412.07679 and 2601.17237) in the joint space of SigLIP 2.

    C-RADIO was distilled from several teachers and has a summary token for each. The head of its SigLIP 2 adaptor
    brings that teacher's token into the space of SigLIP 2, whose text tower comes from ``words``. NVIDIA's code is not
    run: the tower is timm's, and the head is rebuilt from its tensors.

    Args:
        weights (str): The published file with all heads, such as ``c-radio_v4-h_half.pth.tar``. The
            ``model.safetensors`` beside it has no heads. A safetensors file of the same tensors is read, too.
        words (dict | BaseTeacher): The teacher whose text tower is used, or its config; its image tower is dropped. For
            ``adaptor='siglip2-g'``: ``dict(type='mmlgd.OpenCLIPTeacher', model='ViT-gopt-16-SigLIP2-384',
            pretrained='webli')``.
        model (str): The image tower, by timm's name. Defaults to ``'vit_huge_patch16_radio_v4'``.
        adaptor (str): Name of the adaptor. Defaults to ``'siglip2-g'``.
        summary (int, optional): Which summary token is this adaptor's, counted from 0. Defaults to None: as the file
            says, which a safetensors file does not.
        image_size (int | Tuple[int, int], optional): Height and width in pixels, multiples of 16. Defaults to None:
            512, NVIDIA's own.
        compile (bool | str): As for :class:`~mmlgd.OpenCLIPTeacher`. Defaults to False.
        places_size (int | Tuple[int, int], optional): As for :class:`~mmlgd.OpenCLIPTeacher`. Defaults to None.
        places_residual (bool): Likewise. Defaults to False.
        places_mlp (bool): Likewise. Defaults to False.

    Raises:
        TeacherError: The file lacks the adaptor, the weights do not fit, ``words`` has another space, or timm is too
            old.
        CheckpointError: The file holds more than weights and plain settings, or is damaged.
        MissingFileError: There is no such file.

    Examples:
        >>> from mmlgd import RADIOTeacher
        >>> words = dict(type='mmlgd.OpenCLIPTeacher', model='ViT-gopt-16-SigLIP2-384', pretrained='webli')
        >>> teacher = RADIOTeacher('/my/c-radio_v4-h_half.pth.tar', words)  # doctest: +SKIP
        >>> teacher.encode_places(torch.rand(2, 3, 224, 224)).shape  # doctest: +SKIP
        torch.Size([2, 32, 32, 1536])
    """

    @checked_settings
    def __init__(
        self,
        weights: str,
        words: Union[dict, BaseTeacher],
        model: str = 'vit_huge_patch16_radio_v4',
        adaptor: str = 'siglip2-g',
        summary: Optional[int] = None,
        image_size: Union[int, tuple[int, int], None] = None,
        compile: Union[bool, str] = False,
        places_size: Union[int, tuple[int, int], None] = None,
        places_residual: bool = False,
        places_mlp: bool = False,
    ):
        state, arguments = _read(weights)
        index = _summary_of(arguments, adaptor, weights) if summary is None else summary
        head = _head_of(state, adaptor, weights)
        tower = _summary_first(state, index, weights)
        if isinstance(words, dict):
            words = build_teacher(words, 'model.teacher.words')
        dim, width = head.final[-1].out_features, tower[_AS_TIMM_READS + _SUMMARIES].shape[1]
        if head.fc1.in_features != width:
            raise TeacherError(
                f'The head of {adaptor!r} in {weights} takes {head.fc1.in_features} channels, and its tower has '
                f'{width}: they are of two files.'
            )
        if words.embed_dim != dim:
            raise TeacherError(
                f'The adaptor {adaptor!r} has {dim} dimensions, and the teacher of words {words.embed_dim}: they are '
                f"not one space. For 'siglip2-g', words are those of ViT-gopt-16-SigLIP2-384 in open_clip."
            )
        super().__init__(
            model,
            tower,
            head,
            dim,
            image_size,
            'bicubic',
            compile,
            places_size,
            places_residual,
            places_mlp,
            _statistics_of(state),
        )
        words.image_tower = words.places_tower = None
        self.words, self.own_temperature = words, words.own_temperature
        positions, key = tower[_AS_TIMM_READS + _POSITIONS], teacher_key(words.identity)
        self._identity = self.identity_of('radio', f'{model}-{adaptor}', positions, nn.Module(), key)

    @property
    def identity(self) -> str:
        """str: ``radio/MODEL-ADAPTOR/SETTINGS/FINGERPRINT``; the settings include the identity of the words."""
        return self._identity

    def count_tokens(self, prompts: list[str]) -> Optional[tuple[list[int], int]]:
        """Count the tokens of prompts for the text tower: see :meth:`BaseTeacher.count_tokens`."""
        return self.words.count_tokens(prompts)

    def free_text_tower(self) -> None:
        """Drop the text tower."""
        self.words.free_text_tower()

    def _encode_text(self, prompts: list[str]) -> Tensor:
        return self.words.encode_text(prompts)  # (M, D)


class AdaptorHead(nn.Module):
    r"""The head of an adaptor of C-RADIO for summaries, its ``mlp_version`` v2.

    .. math:: x_0 = W x + b, \qquad x_{i+1} = x_i + f_i(x_i), \qquad y = f(x_n)

    where each f is a linear layer behind a layer norm and a GELU. The names are those of the published tensors,
    https://github.com/NVlabs/RADIO/blob/main/radio/adaptor_mlp.py.

    Args:
        channels (int): Of the tower.
        hidden (int): Between the layers.
        blocks (int): n.
        dim (int): D, of the adaptor's space.
    """

    def __init__(self, channels: int, hidden: int, blocks: int, dim: int):
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.blocks = nn.ModuleList(_layer(hidden, hidden) for _ in range(blocks))
        self.final = _layer(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Bring summaries or places, (M, C), to the adaptor's space, (M, D)."""
        x = self.fc1(x)
        for block in self.blocks:
            x = x + block(x)
        return self.final(x)


def _layer(channels: int, dim: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(channels), nn.GELU(), nn.Linear(channels, dim))


def _read(weights: str) -> tuple[State, dict]:
    """Read the tensors, and the arguments of C-RADIO's training if there are any."""
    if Path(weights).suffix == '.safetensors':
        if not os.path.exists(weights):
            raise MissingFileError(f'There is no file of C-RADIO at {weights!r}.')
        return read_tensors(Path(weights)), {}
    file = read_checkpoint(weights)
    state = file.get('state_dict_ema', file.get('state_dict', file))
    arguments = file.get('args')
    if not isinstance(state, dict):
        raise TeacherError(f'{weights} has a {type(state).__name__} as its state dict: it is not a file of C-RADIO.')
    state = {
        name.removeprefix('module.'): value
        for name, value in state.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    return state, arguments if isinstance(arguments, dict) else {}


def _summary_of(arguments: dict, adaptor: str, weights: str) -> int:
    """Find an adaptor's summary token: there is one for each teacher, in their order."""
    teachers = arguments.get('teachers')
    if not isinstance(teachers, list) or not all(isinstance(one, dict) and 'name' in one for one in teachers):
        raise TeacherError(
            f'{weights} does not say which summary token is that of {adaptor!r}. Give it as summary=, counted from 0 '
            f"over the teachers in the args of the repository's config.json."
        )
    names = [one['name'] for one in teachers]
    if adaptor not in names:
        raise TeacherError(f'{weights} has no adaptor {adaptor!r}; it has {", ".join(map(repr, names))}.')
    apart = arguments.get('cls_token_per_teacher', True) and len({*names}) == len(names)
    if not apart or any('token_slot' in one for one in teachers):
        raise TeacherError(
            f'The teachers in {weights} share summary tokens, in an order that mmlgd does not know. Give the token of '
            f'{adaptor!r} as summary=, counted from 0.'
        )
    return names.index(adaptor)


def _head_of(state: State, adaptor: str, weights: str) -> AdaptorHead:
    prefix = f'{_HEADS}{adaptor}.'
    own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    if not own:
        found = sorted({name.split('.')[1] for name in state if name.startswith(_HEADS)})
        raise TeacherError(
            f'{weights} has no head for {adaptor!r}; it has heads for {", ".join(found) or "nothing"}. The '
            f'model.safetensors of the repository has none: take the .pth.tar beside it.'
        )
    try:
        hidden, channels = own['fc1.weight'].shape
        blocks = len([name for name in own if name.startswith('blocks.') and name.endswith('.0.weight')])
        head = AdaptorHead(channels, hidden, blocks, len(own['final.2.weight']))
        head.load_state_dict(own)
    except Exception as error:  # a missing tensor, or another version of the head
        raise TeacherError(
            f'The head of {adaptor!r} in {weights} is not of version v2, the only one that mmlgd knows: {cause(error)}.'
        ) from error
    return head


def _statistics_of(state: State) -> Optional[dict[str, list[float]]]:
    """Read by which statistics C-RADIO's own code normalises images, if the file says so."""
    found = {name: state.get(_STATISTICS + name) for name in ('mean', 'std')}
    if any(value is None for value in found.values()):
        return None
    return {name: value.flatten().tolist() for name, value in found.items()}


def _summary_first(state: State, index: int, weights: str) -> State:
    """Take the tensors of the tower, with the adaptor's summary token first: there, timm has its class token.

    These tokens have no position embeddings, so their order changes nothing else.
    """
    own = {
        _AS_TIMM_READS + name.removeprefix(_TOWER): value for name, value in state.items() if name.startswith(_TOWER)
    }
    tokens = own.get(_AS_TIMM_READS + _SUMMARIES)
    rows = len(tokens) if tokens is not None and tokens.ndim == 2 else 0
    if not 0 <= index < rows:
        raise TeacherError(
            f'{weights} has no summary token {index}: {_TOWER}{_SUMMARIES} has {rows} '
            f'rows. It is not a file of C-RADIO, or another token is meant.'
        )
    order = [index, *(k for k in range(len(tokens)) if k != index)]
    return {**own, _AS_TIMM_READS + _SUMMARIES: tokens[torch.tensor(order)]}
