"""TIPSv2 as the teacher: timm's image tower, and the text tower of its authors' files."""

import math
import os
from pathlib import Path
from typing import Optional, Union

import torch
from torch import Tensor, nn

from mmlgd.errors import MissingFileError
from mmlgd.registry import MODELS
from mmlgd.utils.validation import checked_settings

from .base import TeacherError, freeze
from .foreign import check_file
from .towers import State, TowerTeacher, read_tensors
from .weights import cause

# τ of the authors' training, from each repository's config.json: https://huggingface.co/google/tipsv2-b14. It is not
# among the weights.
_TEMPERATURES = dict(
    vit_base_patch14_reg1_tipsv2=0.005065968260169029,
    vit_large_patch14_reg1_tipsv2=0.004785141441971064,
    vit_so400m_patch14_reg1_tipsv2=0.004638021811842918,
    vit_giant_patch14_reg1_tipsv2=0.003622700460255146,
)
_LENGTH = 64  # tokens of a prompt; the authors cut off the rest
_LONGEST_WAVE = 10_000  # of the position embeddings, in tokens over 2π
# The text tower's names in the authors' file, and in torch's transformer, which computes the same.
# https://github.com/google-deepmind/tips/blob/main/pytorch/text_encoder.py
_PREFIX = 'text_encoder.'
_POSITIONS = 'vision_encoder.pos_embed'  # the first is that of the class token
_RENAMED = {
    'token_embedding.': 'words.',
    'transformer.resblocks.': 'blocks.layers.',
    '.attn.': '.self_attn.',
    '.ln_1.': '.norm1.',
    '.ln_2.': '.norm2.',
    '.mlp.c_fc.': '.linear1.',
    '.mlp.c_proj.': '.linear2.',
    'ln_final.': 'blocks.norm.',
}


@MODELS.register_module()
class TIPSTeacher(TowerTeacher):
    """TIPSv2 (Cao et al., CVPR 2026, arXiv 2604.12012), an image and a text tower that were also aligned by places.

    Images are not normalised; the image's embedding is the first class token. A prompt is in lower case, and its
    embedding is the mean over its tokens. Nothing in the folder is executed: its Python files are not read.

    Args:
        weights (str): A folder with ``model.safetensors`` and ``tokenizer.model``, such as a copy of the repository
            ``google/tipsv2-b14``.
        model (str): The image tower, by timm's name. Defaults to ``'vit_base_patch14_reg1_tipsv2'``.
        image_size (int | Tuple[int, int], optional): Height and width in pixels, multiples of 14. Defaults to None:
            448, the authors' own.
        compile (bool | str): As for :class:`~mmlgd.OpenCLIPTeacher`. Defaults to False.
        places_size (int | Tuple[int, int], optional): As for :class:`~mmlgd.OpenCLIPTeacher`. Defaults to None.
        places_residual (bool): As for :class:`~mmlgd.OpenCLIPTeacher`. Defaults to True, as in the authors' zero-shot
            segmentation.
        places_mlp (bool): Likewise. Defaults to True.

    Raises:
        ImportError: sentencepiece, which reads the tokenizer, is not installed.
        MissingFileError: The folder lacks a file.
        TeacherError: The weights do not fit, or timm is too old.

    Examples:
        >>> from mmlgd import TIPSTeacher
        >>> teacher = TIPSTeacher('/my/tipsv2-b14')  # doctest: +SKIP
        >>> teacher.encode_places(torch.rand(2, 3, 224, 224)).shape  # doctest: +SKIP
        torch.Size([2, 32, 32, 768])
    """

    @checked_settings
    def __init__(
        self,
        weights: str,
        model: str = 'vit_base_patch14_reg1_tipsv2',
        image_size: Union[int, tuple[int, int], None] = None,
        compile: Union[bool, str] = False,
        places_size: Union[int, tuple[int, int], None] = None,
        places_residual: bool = True,
        places_mlp: bool = True,
    ):
        state, tokenizer = _read_folder(Path(weights))
        width = state[f'{_PREFIX}token_embedding.weight'].shape[1]
        super().__init__(
            model,
            state,
            nn.Identity(),
            width,
            image_size,
            'bilinear',
            compile,
            places_size,
            places_residual,
            places_mlp,
        )
        heads = self.image_tower.trunk.blocks[0].attn.num_heads  # both towers have as many, at each size
        self.text_tower = freeze(_load_text(state, heads, weights))
        if len(tokenizer) > self.text_tower.words.num_embeddings:
            raise TeacherError(
                f'The tokenizer in {weights} has {len(tokenizer)} pieces, and its text tower knows '
                f'{self.text_tower.words.num_embeddings}. Copy both files from one repository.'
            )
        self.tokenizer, self.own_temperature = tokenizer, _TEMPERATURES.get(model)
        self._identity = self.identity_of(
            'tips',
            model,
            state[_POSITIONS][:, 1:],
            self.text_tower,
            tokenizer(['A photo of a "Red_Panda"'])[0].tolist(),
        )

    @property
    def identity(self) -> str:
        """str: ``tips/MODEL/SETTINGS/FINGERPRINT``."""
        return self._identity

    def count_tokens(self, prompts: list[str]) -> Optional[tuple[list[int], int]]:
        """Count the tokens of prompts: see :meth:`BaseTeacher.count_tokens`."""
        if self.tokenizer is None:
            return None
        return [len(ids) for ids in self.tokenizer.pieces(prompts)], _LENGTH

    def free_text_tower(self) -> None:
        """Drop the text tower and its tokenizer."""
        self.text_tower = self.tokenizer = None

    def _encode_text(self, prompts: list[str]) -> Tensor:
        if self.text_tower is None:
            raise RuntimeError('This teacher has freed its text tower; build a new one to encode more prompts.')
        ids, padding = (x.to(self.mean.device) for x in self.tokenizer(prompts))
        return self.text_tower(ids, padding)  # (M, D)


class TextTower(nn.Module):
    r"""The text tower of TIPS: sinusoids, a transformer that sees the whole prompt, the mean over its tokens.

    .. math:: x_0 = \sqrt{C}\, \text{words}(\text{ids}) + \text{positions}, \qquad
              y = \tfrac{1}{L} \sum_{i \le L} \text{norm}(\text{blocks}(x_0))_i

    Args:
        vocabulary (int): Number of pieces.
        width (int): C.
        layers (int): Number of blocks.
        heads (int): Heads of attention in each.
        hidden (int): Width inside an MLP.
    """

    def __init__(self, vocabulary: int, width: int, layers: int, heads: int, hidden: int):
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        block = nn.TransformerEncoderLayer(width, heads, hidden, dropout=0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, layers, nn.LayerNorm(width), enable_nested_tensor=False)

    def forward(self, ids: Tensor, padding: Tensor) -> Tensor:
        """Embed prompts.

        Args:
            ids (Tensor): (M, L) int64.
            padding (Tensor): (M, L) bool, True where a prompt has ended.

        Returns:
            Tensor: (M, C), not normalised.
        """
        width = self.words.embedding_dim
        x = self.words(ids) * math.sqrt(width) + _sinusoids(ids.shape[1], width).to(ids.device)
        x = self.blocks(x, src_key_padding_mask=padding)  # (M, L, C)
        inside = ~padding[..., None]
        return (x * inside).sum(1) / inside.sum(1)


class Tokenizer:
    """The SentencePiece model of TIPS.

    Args:
        file (Path): ``tokenizer.model``.
    """

    def __init__(self, file: Path):
        try:
            from sentencepiece import SentencePieceProcessor
        except ImportError as error:
            raise ImportError(f'{error}. It reads the tokenizer of TIPS: pip install "mmlgd[teachers]".') from error
        try:
            self._model = SentencePieceProcessor(model_file=str(file))
        except Exception as error:
            raise TeacherError(f'{file} is damaged: {cause(error)}. Copy it again.') from error

    def __len__(self) -> int:
        return self._model.vocab_size()

    def pieces(self, prompts: list[str]) -> list[list[int]]:
        """Split prompts in lower case, without marks of beginning and end."""
        return self._model.encode([prompt.lower() for prompt in prompts])

    def __call__(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        """Bring prompts to (M, L) ids and (M, L) padding, L being the longest one's length, at most 64."""
        found = [torch.tensor(ids[:_LENGTH], dtype=torch.int64) for ids in self.pieces(prompts)]
        if empty := [prompt for prompt, ids in zip(prompts, found) if not len(ids)]:
            raise TeacherError(f'The prompt {empty[0]!r} has no tokens: there is nothing to take the mean of.')
        ids = nn.utils.rnn.pad_sequence(found, batch_first=True)
        lengths = torch.tensor([len(ids) for ids in found])
        return ids, torch.arange(ids.shape[1])[None] >= lengths[:, None]


def _sinusoids(length: int, width: int) -> Tensor:
    waves = width // 2
    rates = torch.exp(torch.arange(waves) * (-math.log(_LONGEST_WAVE) / max(waves - 1, 1)))
    angles = torch.arange(length)[:, None] * rates  # (L, C / 2)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _read_folder(folder: Path) -> tuple[State, Tokenizer]:
    """Read weights and tokenizer, and nothing else in the folder."""
    files = [folder / name for name in ('model.safetensors', 'tokenizer.model')]
    if missing := [file.name for file in files if not os.path.isfile(file)]:
        raise MissingFileError(
            f'Expected a folder of TIPSv2 at {str(folder)!r}, found no {missing[0]} in it. Download '
            f'model.safetensors and tokenizer.model from https://huggingface.co/google/tipsv2-b14 into one folder, and '
            f'give it as weights.'
        )
    check_file(files[1])
    state = read_tensors(files[0])
    words = state.get(f'{_PREFIX}token_embedding.weight')
    if words is None or words.ndim != 2:
        raise TeacherError(
            f'{files[0]} has no {_PREFIX}token_embedding.weight with a row for each piece: it is not a model of TIPS.'
        )
    return state, Tokenizer(files[1])


def _load_text(state: State, heads: int, weights: str) -> TextTower:
    own: State = {}
    for name, value in state.items():
        if name.startswith(_PREFIX):
            name = name.removeprefix(_PREFIX)
            for theirs, ours in _RENAMED.items():
                name = name.replace(theirs, ours)
            own[name] = value
    try:
        vocabulary, width = own['words.weight'].shape
        layers = len([name for name in own if name.endswith('.linear1.weight')])
        tower = TextTower(vocabulary, width, layers, heads, len(own['blocks.layers.0.linear1.weight']))
        tower.load_state_dict(own)
    except Exception as error:  # a missing tensor, or another shape
        raise TeacherError(f'The text tower in {weights} is not one of TIPS: {cause(error)}.') from error
    return tower
