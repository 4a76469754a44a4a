"""Any open_clip model as the teacher."""

from pathlib import Path
from typing import Optional

import open_clip
import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from open_clip.modified_resnet import AttentionPool2d
from open_clip.pretrained import get_pretrained_cfg
from torch import Tensor, nn

from mmlgd.errors import MissingFileError
from mmlgd.models.compilation import compile_module
from mmlgd.registry import MODELS
from mmlgd.settings import checked_settings

from .base import BaseTeacher, TeacherError, freeze, weights_fingerprint
from .folding import fold_batch_norm

_LOCAL_DIR = 'local-dir:'


@MODELS.register_module()
class OpenCLIPTeacher(BaseTeacher):
    """A CLIP-style teacher from open_clip: image tower frozen for good, text tower until the bank is built.

    Mean, std and input size are the model's own. OpenAI's weights, and every other tag that open_clip marks so,
    get the QuickGELU architecture that they were trained with. Attention-pooled ResNets compute the one pooled
    token instead of all 50, and batch norms are folded into the convolutions before them.

    Args:
        model (str): An open_clip architecture (``'RN50'``, ``'ViT-B-32'``, see ``open_clip.list_models()``), or a
            folder in open_clip's own layout as ``'local-dir:/path'`` (``open_clip_config.json`` and weights), or
            a Hugging Face repository as ``'hf-hub:org/name'``. Defaults to ``'RN50'``, the paper's teacher.
        pretrained (str, optional): An open_clip tag or a local file of weights, for architectures only. ``None``
            means random weights, which teach nothing and are for tests and speed measurements: a warning says
            so. Defaults to ``'openai'``, the paper's teacher.
        cache_dir (str, optional): Where open_clip looks for downloaded weights. Defaults to open_clip's own.
        compile (bool): Compile the image tower with ``torch.compile`` where the platform can. Defaults to False.

    Raises:
        TeacherError: Unknown architecture or tag, or a file of weights that does not fit.
        MissingFileError: The weights are neither on this machine nor to be downloaded; the message says where
            to put them.

    Examples:
        >>> import torch
        >>> from mmlgd import OpenCLIPTeacher
        >>> teacher = OpenCLIPTeacher('RN50', pretrained=None)
        >>> teacher.encode_image(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 1024])
    """

    @checked_settings
    def __init__(
        self,
        model: str = 'RN50',
        pretrained: Optional[str] = 'openai',
        cache_dir: Optional[str] = None,
        compile: bool = False,
    ):
        clip, tokenizer, embed_dim = _load(model, pretrained, cache_dir)
        preprocess = open_clip.get_model_preprocess_cfg(clip)
        size = preprocess['size']
        super().__init__(
            embed_dim=embed_dim,
            image_size=(size, size) if isinstance(size, int) else size,
            mean=preprocess['mean'],
            std=preprocess['std'],
            interpolation='bicubic' if preprocess['interpolation'] == 'bicubic' else 'bilinear',
        )
        self._identity = f'open_clip/{model}/{Path(str(pretrained)).name}/{weights_fingerprint(clip)}'
        self.image_tower = freeze(clip.visual)
        if isinstance(getattr(self.image_tower, 'attnpool', None), AttentionPool2d):
            self.image_tower.attnpool = PooledTokenAttention(self.image_tower.attnpool)
        self.image_tower = fold_batch_norm(self.image_tower, self.image_size)
        if compile:
            compile_module(self.image_tower, "the teacher's image tower")
        self.tokenizer = tokenizer
        self.text_tower = freeze(clip)
        del self.text_tower.visual  # what is left of the model is its text half

    @property
    def identity(self) -> str:
        """str: ``open_clip/ARCHITECTURE/TAG/FINGERPRINT``."""
        return self._identity

    def free_text_tower(self) -> None:
        """Drop the text tower and its tokenizer."""
        self.text_tower = self.tokenizer = None

    def _encode_image(self, images: Tensor) -> Tensor:
        return self.image_tower(images)  # (N, D)

    def _encode_text(self, prompts: list[str]) -> Tensor:
        if self.text_tower is None:
            raise RuntimeError('This teacher has freed its text tower; build a new one to encode more prompts.')
        return self.text_tower.encode_text(self.tokenizer(prompts).to(self.mean.device))  # (M, D)


class PooledTokenAttention(nn.Module):
    """CLIP's attention pooling for its one query, the mean token; open_clip computes every token and keeps one.

    Args:
        pool (AttentionPool2d): The trained pooling whose weights are used.
    """

    def __init__(self, pool: AttentionPool2d):
        super().__init__()
        self.num_heads = pool.num_heads
        self.positional_embedding = pool.positional_embedding
        self.q_proj, self.k_proj, self.v_proj, self.c_proj = pool.q_proj, pool.k_proj, pool.v_proj, pool.c_proj

    def forward(self, x: Tensor) -> Tensor:
        """Pool a feature map.

        Args:
            x (Tensor): (N, C, H, W).

        Returns:
            Tensor: (N, D), equal to ``AttentionPool2d(x)``.
        """
        x = x.flatten(2).transpose(1, 2)  # (N, HW, C)
        x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1)  # (N, 1+HW, C)
        x = x + self.positional_embedding.to(x.dtype)
        query, key, value = (
            proj(tokens).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (N, heads, tokens, C/heads)
            for proj, tokens in ((self.q_proj, x[:, :1]), (self.k_proj, x), (self.v_proj, x))
        )
        pooled = F.scaled_dot_product_attention(query, key, value)  # (N, heads, 1, C/heads)
        return self.c_proj(pooled.transpose(1, 2).flatten(1))  # (N, D)


def _load(model: str, pretrained: Optional[str], cache_dir: Optional[str]):
    """Create an open_clip model, its tokenizer and its dimension, with errors that say what to do next."""
    if ':' in model:  # one of open_clip's schemas: the folder or repository holds architecture and weights
        if model.startswith(_LOCAL_DIR) and not (Path(model[len(_LOCAL_DIR) :]) / 'open_clip_config.json').is_file():
            raise MissingFileError(
                f'Expected an open_clip folder at {model[len(_LOCAL_DIR) :]!r}, found no open_clip_config.json in '
                f'it. Give the folder that holds open_clip_config.json and open_clip_model.safetensors.'
            )
        arguments = dict(require_pretrained=True)
    else:
        if model not in open_clip.list_models():
            raise TeacherError(f'Unknown open_clip architecture {model!r}. `open_clip.list_models()` has them all.')
        arguments = dict(pretrained=pretrained, force_quick_gelu=wants_quick_gelu(model, pretrained))
    try:
        clip = open_clip.create_model(model, cache_dir=cache_dir, **arguments)  # weights_only by default
        tokenizer, embed_dim = open_clip.get_tokenizer(model, cache_dir=cache_dir), _embed_dim(clip)
    except Exception as error:
        raise _weights_error(model, pretrained, cache_dir, error) from error
    if pretrained is None and ':' not in model:
        print_log(
            f'The teacher {model} has random weights (pretrained=None): it teaches nothing. '
            f'This is for tests and speed measurements only.',
            logger='current',
            level=30,
        )
    return clip, tokenizer, embed_dim


def wants_quick_gelu(model: str, pretrained: Optional[str]) -> bool:
    """Whether these weights were trained with QuickGELU, as OpenAI's were.

    Args:
        model (str): An open_clip architecture.
        pretrained (str, optional): A tag, a file, or ``None``.

    Returns:
        bool: True for tags that open_clip marks so, and for ``-quickgelu`` architectures.

    Raises:
        TeacherError: ``pretrained`` is neither a tag of this architecture nor a file.

    Examples:
        >>> wants_quick_gelu('RN50', 'openai'), wants_quick_gelu('ViT-B-32', 'laion2b_s34b_b79k')
        (True, False)
    """
    if pretrained is None or Path(pretrained).is_file():
        return model.endswith('-quickgelu')
    tag = get_pretrained_cfg(model, pretrained)
    if not tag:
        tags = ', '.join(open_clip.list_pretrained_tags_by_model(model)) or 'none'
        raise TeacherError(
            f'{pretrained!r} is neither a file nor a tag of {model!r}. Its tags: {tags}. '
            f'To use weights of your own, give the path of an existing file.'
        )
    return bool(tag.get('quick_gelu', False))


def _weights_error(model: str, pretrained: Optional[str], cache_dir: Optional[str], error: Exception) -> Exception:
    """The error for weights that did not load: what was asked for, and where to put what is missing."""
    said = ' '.join(str(error).split())[:200] or type(error).__name__
    if ':' in model:
        return MissingFileError(
            f'Could not load the teacher {model!r}: {said} Nothing but weights is read, and no '
            f'code. An open_clip folder holds open_clip_config.json and '
            f'open_clip_model.safetensors; download the repository on a machine with a network and give it as '
            f"model='local-dir:/path/to/folder'."
        )
    if pretrained is None or Path(pretrained).is_file():
        return TeacherError(
            f'Could not load {pretrained!r} into {model!r}: damaged, or of another architecture. Nothing but weights '
            f'is read from it, and no code: {said}'
        )
    tag = get_pretrained_cfg(model, pretrained)
    sources = ' or '.join(filter(None, [tag.get('url'), tag.get('hf_hub') and f"Hugging Face '{tag['hf_hub']}'"]))
    return MissingFileError(
        f'Could not get the weights {pretrained!r} of {model!r}: they are not cached on this machine and could '
        f'not be downloaded. Download them elsewhere from {sources}, then either pass the file as '
        f"pretrained='/path/to/file', or put it where open_clip looks "
        f'({cache_dir or "~/.cache/clip for URLs, the Hugging Face cache for repositories"}).'
    )


def _embed_dim(clip: nn.Module) -> int:
    """D of an open_clip model; its classes name it differently, so one prompt is asked."""
    with torch.no_grad():
        return clip.eval().encode_text(torch.zeros(1, clip.context_length, dtype=torch.long)).shape[-1]
