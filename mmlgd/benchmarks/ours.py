"""LGD as a config builds it, with random weights and meaningless class names."""

import argparse
from typing import Optional, Union

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import Tensor

from mmlgd.models import LGD, Embedded, OpenCLIPTeacher, TeacherPair
from mmlgd.models.teachers.base import resized
from mmlgd.models.zero_shot import IMAGENET_RGB
from mmlgd.registry import MODELS


@MODELS.register_module()
class WordlessTeacher(OpenCLIPTeacher):
    """An open_clip teacher with random text embeddings: the benchmark does not measure encoding of prompts."""

    def _encode_text(self, prompts: list[str]) -> Tensor:
        return torch.randn(len(prompts), self.embed_dim, generator=torch.Generator().manual_seed(0)).to(self.mean)


def add_compile_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--compile``, which is on by default only on a GPU: on a CPU it takes minutes."""
    parser.add_argument(
        '--compile',
        action=argparse.BooleanOptionalAction,
        default=torch.cuda.is_available(),
        help='torch.compile for student, teacher and floor alike; default: on a GPU',
    )


@MODELS.register_module()
class LooksAlone(TeacherPair):
    """A pair whose words are not run: the benchmark measures its looks."""

    def _embed(self, images: Tensor, places: bool) -> Embedded:
        own = resized(images, self.looks.network.size_of(places))
        found = self.looks.read(self.looks.signal(self._as_looks(own), places, self.words))
        return Embedded(*(None if x is None else F.pad(x, (self.words.embed_dim, 0)) for x in found))


def words_settings(teacher: str) -> dict:
    """Settings of a teacher with random weights, or of ConSE.

    Args:
        teacher (str): An open_clip architecture, or ``'conse'``.

    Returns:
        dict: For ``model.teacher``.
    """
    if teacher == 'conse':
        return dict(type='mmlgd.ConSETeacher')
    return dict(type='mmlgd.WordlessTeacher', model=teacher, pretrained=None)


def build_lgd(classes: int, teacher: Union[str, dict], device: str, compile: bool, **parts: dict) -> LGD:
    """Build the published model with ResNet-18, in channels-last memory as in our configs.

    Args:
        classes (int): K.
        teacher (str | dict): An open_clip architecture, ``'conse'``, or the settings of a teacher.
        device (str): The device, as for torch.
        compile (bool): Compile student and teacher.
        **parts (dict): Further parts of the model.

    Returns:
        LGD: The model in training mode, on the device.
    """
    init_default_scope('mmpretrain')
    source = teacher if isinstance(teacher, dict) else dict(words_settings(teacher), compile=compile)
    config = dict(
        type='mmlgd.LGD',
        backbone=dict(type='mmpretrain.ResNet', depth=18),
        neck=dict(in_channels=512),
        teacher=source,
        text=dict(vocabulary=[f'class {k}' for k in range(classes)], templates='plain'),
        compile=compile,
        channels_last=True,
        data_preprocessor=dict(IMAGENET_RGB, type='mmlgd.PretrainDataPreprocessor'),
        **parts,
    )
    return MODELS.build(config).to(device).train()


def build_classifier(device: str, guide: Optional[dict] = None) -> BaseModel:
    """Build a plain classifier with ResNet-18 and 1000 classes, in channels-last memory.

    Args:
        device (str): The device, as for torch.
        guide (dict, optional): Settings of a teacher that stays on; its classes have meaningless names. Defaults to
            None: the plain classifier.

    Returns:
        BaseModel: The model in training mode, on the device.
    """
    init_default_scope('mmpretrain')
    kind, classes = 'mmpretrain.ImageClassifier', 1000
    settings = dict(
        backbone=dict(type='mmpretrain.ResNet', depth=18),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=classes, in_channels=512),
        data_preprocessor=dict(IMAGENET_RGB, type='mmpretrain.ClsDataPreprocessor'),
    )
    if guide is None:
        model = MODELS.build(dict(settings, type=kind))
    else:
        guide = dict(teacher=guide, text=dict(templates='plain'))
        model = MODELS.build(dict(settings, type='mmlgd.Guided', plain=kind, guide=guide))
        model.guide.name([f'class {k}' for k in range(classes)])
    return model.to(device, memory_format=torch.channels_last).train()


def optimizer_of(model: torch.nn.Module, device: str) -> OptimWrapper:
    """Wrap the published optimizer as our configs do: bfloat16 autocast on a GPU, float32 elsewhere, fused.

    Its learning rate is 0, because a model that memorises the batch gets tiny gradients, which slow a CPU down.
    """
    wrapper = dict(optimizer=dict(type='SGD', lr=0.0, momentum=0.9, weight_decay=1e-4, fused=True))
    if device.startswith('cuda'):
        wrapper.update(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=dict(enabled=False))
    return build_optim_wrapper(model, wrapper)


def autocast(device: str) -> torch.autocast:
    """Compute as a run does: in bfloat16 on a GPU, in float32 elsewhere."""
    return torch.autocast(device.split(':')[0], torch.bfloat16, enabled=device.startswith('cuda'))


def unit_rows(n: int, d: int, device: str, seed: int = 0) -> Tensor:
    """Draw (n, d) random unit rows."""
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1).to(device)
