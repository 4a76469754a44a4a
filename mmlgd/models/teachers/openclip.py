"""Any open_clip model as the teacher."""

from importlib.util import find_spec
from pathlib import Path
from typing import Optional, Union

import open_clip
import torch
from mmengine.logging import print_log
from open_clip.factory import _find_checkpoint_in_dir, get_model_config
from open_clip.modified_resnet import AttentionPool2d
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from mmlgd.errors import MissingFileError, MMLGDError
from mmlgd.models.compilation import compile_module
from mmlgd.registry import MODELS
from mmlgd.utils.validation import checked_settings

from .attention_pool import PooledTokenAttention
from .base import BaseTeacher, TeacherError, freeze, weights_fingerprint
from .folders import open_folder
from .folding import fold_batch_norm
from .foreign import check_weights_file, foreign_code
from .places import open_clip_places
from .torchscript import is_torchscript, read_torchscript
from .weights import Weights, cause, fetch_weights, find_weights

# Tensors in OpenAI's archives that are not weights.
_NO_WEIGHTS = ('input_resolution', 'context_length', 'vocab_size', 'attn_mask')
# Tokenizers differ in its tokens: capitals, punctuation, underscores, length.
_PROMPT = 'A photo of a "Red_Panda", isn\'t it?'


@MODELS.register_module()
class OpenCLIPTeacher(BaseTeacher):
    """A CLIP-style teacher from open_clip. The image tower is frozen; the text tower is freed after the bank is built.

    Mean, std and input size are the model's own. OpenAI's weights, and every other tag that open_clip marks with
    QuickGELU, get the QuickGELU architecture of their training. Attention-pooled ResNets compute the one pooled token
    instead of all 50, and batch norms are folded into the convolutions before them.

    Args:
        model (str): An open_clip architecture (``'RN50'``, ``'ViT-B-32'``, see ``open_clip.list_models()``), or a
            folder in open_clip's own layout as ``'local-dir:/path'`` (``open_clip_config.json`` and weights), or
            a Hugging Face repository as ``'hf-hub:org/name'``. Defaults to ``'RN50'``, the paper's teacher.
        pretrained (str, optional): For architectures: an open_clip tag or a weights file. Give a file with its tag if
            you can, as ``'openai:/path/RN50.pt'``: the tag defines the activation and the image statistics. ``None``
            means random weights, which teach nothing and are only for tests and speed measurements; they cause a
            warning. Defaults to ``'openai'``, the paper's teacher.
        cache_dir (str, optional): Folder of downloaded weights. Defaults to open_clip's own.
        compile (bool | str): Compile the image tower with ``torch.compile`` where the platform can; ``'auto'``: only on
            a GPU. Defaults to False.
        places_size (int | Tuple[int, int], optional): Height and width in pixels of the images when places are asked
            for. Position embeddings are interpolated for it, and the image embedding comes from the same pass. Defaults
            to None: the model's own size.
        places_stride (int, optional): Pixels from place to place, a power of 2, for towers of convolutions: their last
            strides become dilations, with the same weights, as in MaskCLIP (Zhou et al., ECCV 2022, arXiv 2112.01071).
            The image embedding stays the same. Defaults to None: the tower's own, 32 for CLIP's ResNets.
        places_residual (bool): For towers with a class token: keep the residual of the last block, see
            :func:`~mmlgd.models.teachers.places.blocks.alone`. Defaults to False.
        places_mlp (bool): Keep the MLP of the last block, likewise. Defaults to False.

    Raises:
        TeacherError: The architecture or tag is unknown, the weights do not fit, a folder or repository contains
            code, or the tower cannot take images of ``places_size`` or have places every ``places_stride`` pixels.
        ImportError: The text tower needs transformers, which is not installed.
        MissingFileError: The weights are not on this machine and cannot be downloaded; the message says where to put
            them.

    Examples:
        >>> import torch
        >>> from mmlgd import OpenCLIPTeacher
        >>> teacher = OpenCLIPTeacher('RN50', pretrained=None)
        >>> teacher.encode_image(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 1024])
        >>> teacher.encode_places(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 7, 7, 1024])
    """

    @checked_settings
    def __init__(
        self,
        model: str = 'RN50',
        pretrained: Optional[str] = 'openai',
        cache_dir: Optional[str] = None,
        compile: Union[bool, str] = False,
        places_size: Union[int, tuple[int, int], None] = None,
        places_stride: Optional[int] = None,
        places_residual: bool = False,
        places_mlp: bool = False,
    ):
        clip, tokenizer, label = _load(model, pretrained, cache_dir)
        preprocess = open_clip.get_model_preprocess_cfg(clip)
        size = preprocess['size']
        tokens = tokenizer([_PROMPT])
        super().__init__(
            embed_dim=_embed_dim(clip, tokens, model),
            image_size=(size, size) if isinstance(size, int) else size,
            mean=preprocess['mean'],
            std=preprocess['std'],
            interpolation='bicubic' if preprocess['interpolation'] == 'bicubic' else 'bilinear',
            places_size=places_size,
        )
        activations = sorted({repr(module) for module in clip.modules() if isinstance(module, (nn.GELU, QuickGELU))})
        block = dict(residual=places_residual, mlp=places_mlp)  # of the last block, for places
        choices = [block] * any(block.values()) + [dict(places_stride=places_stride)] * bool(places_stride)
        settings = self.settings_id(activations, tokens.tolist(), *choices)
        self._identity = f'open_clip/{label}/{settings}/{weights_fingerprint(clip)}'
        if pretrained is not None:  # random weights were never trained
            self.own_temperature = 1 / clip.logit_scale.exp().item()
        self.image_tower = frozen_tower(clip.visual, self.image_size)
        self.tower_name = f'The image tower of {model!r}'
        self.places_tower = open_clip_places(
            self.image_tower,
            self.image_size,
            self.places_size,
            **block,
            name=self.tower_name,
            places_stride=places_stride,
        )
        compile_module(self.image_tower, "the teacher's image tower", compile)
        if self.places_tower is not None:
            compile_module(self.places_tower, "the teacher's image tower with places", compile)
        self.tokenizer = tokenizer
        self.text_tower = freeze(clip)
        del self.text_tower.visual  # the rest of the model is its text half

    @property
    def identity(self) -> str:
        """str: ``open_clip/LABEL/SETTINGS/FINGERPRINT``; the label names the origin of the weights."""
        return self._identity

    def count_tokens(self, prompts: list[str]) -> Optional[tuple[list[int], int]]:
        """Count the tokens of prompts: see :meth:`BaseTeacher.count_tokens`."""
        if self.tokenizer is None:
            return None
        if isinstance(self.tokenizer, SimpleTokenizer):
            counts = [len(self.tokenizer.encode(prompt)) + 2 for prompt in prompts]  # with beginning and end
        else:
            cleaned = [self.tokenizer.clean_fn(prompt) for prompt in prompts]  # SigLIP's: small letters alone
            counts = [len(self.tokenizer.tokenizer(prompt)['input_ids']) for prompt in cleaned]
        return counts, self.tokenizer.context_length

    def free_text_tower(self) -> None:
        """Drop the text tower and its tokenizer."""
        self.text_tower = self.tokenizer = None

    def _encode_image(self, images: Tensor) -> Tensor:
        return self.image_tower(images)  # (N, D)

    def _encode_text(self, prompts: list[str]) -> Tensor:
        if self.text_tower is None:
            raise RuntimeError('This teacher has freed its text tower; build a new one to encode more prompts.')
        return self.text_tower.encode_text(self.tokenizer(prompts).to(self.mean.device))  # (M, D)


def frozen_tower(tower: nn.Module, image_size: tuple[int, int]) -> nn.Module:
    """Bring an image tower of open_clip to the form that a teacher runs.

    Args:
        tower (nn.Module): The tower; it is changed.
        image_size (Tuple[int, int]): Height and width of its images in pixels.

    Returns:
        nn.Module: In eval mode, without gradients; one token is pooled, and batch norms are folded.
    """
    if hasattr(tower, 'output_tokens'):
        tower.output_tokens = False  # only CoCa's decoder needs the tokens
    freeze(tower)
    if isinstance(getattr(tower, 'attnpool', None), AttentionPool2d):
        tower.attnpool = PooledTokenAttention(tower.attnpool)
    return fold_batch_norm(tower, image_size)


def _load(model: str, pretrained: Optional[str], cache_dir: Optional[str]) -> tuple[nn.Module, object, str]:
    """Create an open_clip model, its tokenizer and its label, with errors that say what to do next."""
    if ':' in model:  # a schema of open_clip: the folder or repository holds architecture and weights
        folder, settings = open_folder(model, cache_dir)
        _check_text_tower(model, settings, folder)
        arguments = dict(model_name=f'local-dir:{folder}', require_pretrained=True)
        label = f'local-dir:{folder.resolve().name}' if model.startswith('local-dir:') else model
        state = None
    else:
        settings = get_model_config(model)
        if settings is None:
            raise TeacherError(f'Unknown open_clip architecture {model!r}. `open_clip.list_models()` lists all.')
        weights = find_weights(model, pretrained)
        _check_text_tower(model, settings)
        file = fetch_weights(model, weights, cache_dir)
        state = _archived(file)
        arguments = dict(model_name=model, **_how_trained(weights), pretrained=None if state else file)
        label = f'{model}/{weights.name}'
    try:
        if found := _find_checkpoint_in_dir(folder) if ':' in model else arguments['pretrained']:
            check_weights_file(found)  # open_clip's own reader would unpickle anything
        # weights_only by default. Base weights of a text tower would be overwritten or are not needed.
        clip = open_clip.create_model(**arguments, cache_dir=cache_dir, pretrained_text=False)
        if state:
            clip.load_state_dict(state)
    except ImportError:
        raise
    except Exception as error:
        raise _loading_error(model, pretrained, error) from error
    if pretrained is None and ':' not in model:
        print_log(
            f'The teacher {model} has random weights (pretrained=None): it teaches nothing. '
            f'This is for tests and speed measurements only.',
            logger='current',
            level=30,
        )
    return clip, _tokenizer(model, arguments['model_name'], settings['text_cfg'], cache_dir), label


def _how_trained(weights: Weights) -> dict:
    return dict(force_quick_gelu=weights.quick_gelu, force_preprocess_cfg=weights.pixels)


def _archived(file: Optional[str]) -> Optional[dict[str, Tensor]]:
    """Read weights that open_clip does not read: OpenAI's own files."""
    if not file or not is_torchscript(file):
        return None
    tensors = read_torchscript(file)
    return {name: value for name, value in tensors.items() if name.rpartition('.')[2] not in _NO_WEIGHTS}


def _check_text_tower(model: str, settings: dict, folder: Optional[Path] = None) -> None:
    """Refuse a text tower or tokenizer of transformers that is missing or contains code."""
    text = settings['text_cfg']
    tower = text.get('hf_model_name')
    if not tower and not text.get('hf_tokenizer_name'):
        return
    if find_spec('transformers') is None:
        raise ImportError(
            f'The teacher {model!r} reads its prompts with transformers, which is not installed: pip install '
            f'"transformers>=4.40,<4.52" sentencepiece (with the onedl stack: "transformers>=4.57,<5").'
        )
    if not tower:
        return
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(tower, trust_remote_code=False)
    except Exception as error:
        raise MissingFileError(
            f'Could not read the settings of the text tower {tower!r} of {model!r}: {cause(error)}. No code in it is '
            f'executed. {_copy_of(tower, model, None)}.'
        ) from error
    kernels = getattr(config, '_attn_implementation', None)
    for name, is_code in (('auto_map', getattr(config, 'auto_map', None)), ('kernels', '/' in str(kernels))):
        if is_code:
            raise foreign_code(folder or Path(tower), f'{name} of the text tower {tower!r}')


def _tokenizer(model: str, name: str, text: dict, cache_dir: Optional[str]):
    """Build the tokenizer; it must not make transformers run foreign code."""
    source = text.get('hf_tokenizer_name')
    safe = dict(trust_remote_code=False) if source else {}
    try:
        if source and model.startswith('hf-hub:'):  # open_clip uses the named tokenizer; in a folder, the folder's own
            mode = dict(tokenizer_mode=text['tokenizer_mode']) if text.get('tokenizer_mode') else {}
            chosen = {**(text.get('tokenizer_kwargs') or {}), **mode, **safe}
            return HFTokenizer(source, text.get('context_length', 77), cache_dir=cache_dir, **chosen)
        return open_clip.get_tokenizer(name, cache_dir=cache_dir, **safe)
    except ImportError:
        raise
    except Exception as error:
        raise MissingFileError(
            f'Could not load the tokenizer {source!r} of {model!r}: {cause(error)}. No code in it is executed. '
            f'{_copy_of(source, model, cache_dir)}, or use a teacher whose tokenizer comes with open_clip, for example '
            f'RN50 or ViT-B-16.'
        ) from error


def _copy_of(source: Optional[str], model: str, cache_dir: Optional[str]) -> str:
    """Say how a repository of Hugging Face comes to a machine without a network."""
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = f'models--{str(source).replace("/", "--")}'
    return (
        f'Without a network: run `python -c "import open_clip; open_clip.get_tokenizer({model!r})"` on a machine that '
        f'has one, and copy the folder {folder} from its ~/.cache/huggingface/hub into {cache_dir or HF_HUB_CACHE} here'
    )


def _embed_dim(clip: nn.Module, tokens: Tensor, model: str) -> int:
    """Find D by encoding a prompt, because open_clip's classes name it differently."""
    try:
        with torch.no_grad():
            return clip.eval().encode_text(tokens).shape[-1]
    except Exception as error:
        raise TeacherError(
            f'The text tower of {model!r} cannot read a prompt from its tokenizer: {cause(error)}. Its settings and '
            f'its tokenizer do not match.'
        ) from error


def _loading_error(model: str, pretrained: Optional[str], error: Exception) -> MMLGDError:
    """Make the error for weights that exist but do not load."""
    if ':' in model:
        return MissingFileError(
            f'Could not load the teacher {model!r}: {cause(error)}. Only weights are read, and no code is executed. '
            f'An open_clip folder holds open_clip_config.json and open_clip_model.safetensors; download the repository '
            f"on a machine with a network and give it as model='local-dir:/path/to/folder'."
        )
    return TeacherError(
        f'Could not load {pretrained!r} into {model!r}: the file is damaged or of another architecture. Only weights '
        f'are read from it, and no code is executed: {cause(error)}.'
    )
