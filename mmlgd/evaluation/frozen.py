"""Frozen models and their features, extracted once per model."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Optional, Union

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmlgd.checkpoints.files import read_checkpoint
from mmlgd.checkpoints.parts import state_dict_of
from mmlgd.checkpoints.starts import start_from
from mmlgd.errors import ConfigError
from mmlgd.models import BaseTeacher
from mmlgd.models.necks import pooled
from mmlgd.models.zero_shot import IMAGENET_RGB
from mmlgd.student import Student, get_student
from mmlgd.student.live_teacher import build_live_teacher
from mmlgd.student.saved import SavedStudent
from mmlgd.text import load_vocabulary
from mmlgd.utils.building import build_part

from .splits import check_synonyms


class Features(NamedTuple):
    """Features and embeddings of N images from a frozen model.

    Attributes:
        features (Tensor): (N, C) float32 on the CPU, the backbone's last feature averaged over the image.
        embeddings (Tensor | None): (N, D) float32 on the CPU, unit rows in the joint space, if the model has one.
    """

    features: Tensor
    embeddings: Optional[Tensor]


class FrozenModel(BaseModel):
    """A backbone, with neck and bank if it is an LGD student.

    Args:
        backbone (nn.Module): The backbone; it takes (N, 3, H, W) and returns a tuple of features.
        neck (nn.Module, optional): Projection of the features into the joint space. Defaults to None.
        bank (Tensor, optional): (K, D), unit rows: embeddings of the class names. Defaults to None.
        class_names (List[str], optional): The K class names. Defaults to None.
        data_preprocessor (nn.Module, optional): Image statistics. Defaults to ImageNet's, RGB.
        config (ConfigDict, optional): Config of its training. Defaults to None.
        teacher_id (str, optional): Identity of the teacher that it was distilled from. Defaults to None.
        head (nn.Linear, optional): Head of a supervised classifier on the averaged last feature. Defaults to None.
        synonyms (Tensor, optional): (K, D), unit rows: embeddings of other names of the same classes. Defaults to None.
        head_classes (List[str], optional): The classes of the head, in its order. Defaults to None: not known.
    """

    def __init__(
        self,
        backbone: nn.Module,
        neck: Optional[nn.Module] = None,
        bank: Optional[Tensor] = None,
        class_names: Optional[list[str]] = None,
        data_preprocessor: Optional[nn.Module] = None,
        config: Optional[ConfigDict] = None,
        teacher_id: Optional[str] = None,
        head: Optional[nn.Linear] = None,
        synonyms: Optional[Tensor] = None,
        head_classes: Optional[list[str]] = None,
    ):
        super().__init__(data_preprocessor=data_preprocessor or build_part(IMAGENET_RGB, 'model.data_preprocessor'))
        self.backbone = backbone
        self.neck = neck
        self.register_buffer('bank', bank)
        self.class_names = class_names
        self.config = config
        self.teacher_id = teacher_id
        self.head = head
        self.head_classes = head_classes
        self.register_buffer('synonyms', synonyms)
        self.eval()

    @classmethod
    def of_student(cls, student: Student, synonyms: Optional[Tensor] = None) -> 'FrozenModel':
        """Make a frozen model of a student.

        Args:
            student (Student): The student; its modules are copied.
            synonyms (Tensor, optional): As above. Defaults to None.

        Returns:
            FrozenModel: In eval mode.

        Raises:
            ConfigError: The student's ``out_indices`` end with another stage than in training.
        """
        if student.neck is not None:
            student.require_embeddings()
        modules = student.backbone, student.neck, student.bank, student.names, student.data_preprocessor, student.head
        *parts, head = copy.deepcopy(modules)
        return cls(*parts, student.config, student.teacher_id, head, synonyms, student.head_classes)

    @torch.no_grad()
    def forward(self, inputs: Tensor) -> Features:
        """Compute features and embeddings of images.

        Args:
            inputs (Tensor): (N, 3, H, W), preprocessed.

        Returns:
            Features: Features of these images.
        """
        feats = self.backbone(inputs)
        features = pooled(feats).float().cpu()
        return Features(features, None if self.neck is None else self.neck(feats).float().cpu())


class _TeacherTower(nn.Module):
    def __init__(self, teacher: BaseTeacher):
        super().__init__()
        self.teacher = teacher

    def forward(self, inputs: Tensor) -> tuple[Tensor]:
        return (self.teacher.encode_image(inputs),)


class _Last(nn.Module):
    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        return feats[-1]


def load_frozen(
    source: Union[str, Path, Student],
    vocabulary: Union[str, Path, list, dict, None] = None,
    backbone: Union[dict, None] = None,
    teacher: Optional[dict] = None,
    synonyms: Optional[list[str]] = None,
) -> FrozenModel:
    """Load a model for evaluation.

    Args:
        source (str | Path | Student): One of

            - a student, or a checkpoint of LGD training or of ``mmlgd publish``, as a file or URL: it has names;
            - another mmengine checkpoint that holds its config: its backbone is used, and the linear head of a
              classifier;
            - a file or URL of a bare backbone, a name such as ``'torchvision://resnet18'``, or ``'none'`` for a random
              start: weights of ``backbone``.
        vocabulary (str | Path | list | dict, optional): Class names of an LGD student. Defaults to None: the names of
            training, which need no teacher.
        backbone (dict, optional): Config of the backbone, for a source without a config. Defaults to None.
        teacher (dict, optional): Config of the teacher, for names other than the names of training; without a ``type``,
            changes to the config of training. Defaults to None: the teacher of training, see
            :func:`~mmlgd.student.live_teacher.live_teacher`.
        synonyms (List[str], optional): Other names of the same classes, for an LGD student. Defaults to None.

    Returns:
        FrozenModel: In eval mode, on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ConnectionError: The weights cannot be downloaded.
        CheckpointError: The file is truncated, or does not fit.
        ValueError: The source does not define its backbone, and ``backbone`` is None; or synonyms do not name the same
            classes.

    Examples:
        >>> model = load_frozen('none', backbone=dict(type='mmpretrain.ResNet', depth=18))
        >>> model(torch.rand(2, 3, 64, 64)).features.shape
        torch.Size([2, 512])
    """
    if not isinstance(source, Student):
        source = str(source)
        content = {} if source == 'none' or not _is_file_or_url(source) else read_checkpoint(source)
        meta = content.get('meta')
        has_config = isinstance(meta, dict) and isinstance(meta.get('cfg'), str)
        if has_config or 'textual_bank.bank' in state_dict_of(content):
            source = Student(SavedStudent(content, source), device='cpu')
    if isinstance(source, Student):
        if source.bank is None:
            return FrozenModel.of_student(source)
        if synonyms is not None:  # before their teacher is built
            check_synonyms([source.names if vocabulary is None else load_vocabulary(vocabulary)], synonyms)
        told = dict(teacher=teacher, device=get_device())
        other = None if synonyms is None else source.with_names(synonyms, **told).bank
        return FrozenModel.of_student(source.with_names(vocabulary, **told), other)
    if backbone is None:
        raise ConfigError(
            f'{source!r} does not define its backbone. Add a checkpoint of LGD training to the students, or give '
            f'--backbone CONFIG.'
        )
    cfg = Config(dict(default_scope='mmpretrain', model=dict(backbone=copy.deepcopy(dict(backbone)))))
    start_from(cfg, source)
    return FrozenModel(get_student(cfg))


def load_teacher(student: FrozenModel, teacher: Optional[dict] = None) -> FrozenModel:
    """Load the teacher of a student, for images prepared for the student.

    Args:
        student (FrozenModel): A model from a checkpoint of LGD training.
        teacher (dict, optional): Config of the teacher; without a ``type``, changes to the config of training. Defaults
            to None: no changes, see :func:`~mmlgd.student.live_teacher.live_teacher`.

    Returns:
        FrozenModel: The teacher; its features are its embeddings, and the class names are the student's.

    Raises:
        ValueError: The model is not an LGD student and has no teacher, or the teacher is another one.
    """
    if student.bank is None:
        raise ConfigError('Only a checkpoint of LGD training has a teacher, and there is none among the students.')
    model = build_live_teacher(student.config, student.teacher_id, teacher, 'The student')
    model.free_text_tower()
    model.prepare()  # report its faults now, not during the evaluation
    tower = FrozenModel(
        _TeacherTower(model),
        _Last(),
        student.bank,
        student.class_names,
        copy.deepcopy(student.data_preprocessor),
        student.config,
        synonyms=student.synonyms,
    )
    model.expect_pixels_of(tower.data_preprocessor)
    return tower


def extract(models: dict[str, FrozenModel], batches: Iterable[dict]) -> dict[str, Features]:
    """Run several models over the same images; each image is read once.

    Args:
        models (Dict[str, FrozenModel]): Models by name, on their device.
        batches (Iterable[dict]): Batches of a dataloader, with ``inputs`` and ``data_samples``.

    Returns:
        Dict[str, Features]: Features of all images in order, by model name.

    Raises:
        ValueError: There are no images.
    """
    parts: dict[str, list[Features]] = {name: [] for name in models}
    for batch in batches:
        for name, model in models.items():
            inputs = model.data_preprocessor(copy.copy(batch), False)['inputs']
            parts[name].append(model(inputs))
    if not all(parts.values()):
        raise ConfigError('There are no images to evaluate.')
    return {name: Features(*(_joined(column) for column in zip(*rows))) for name, rows in parts.items()}


def _joined(parts: tuple) -> Optional[Tensor]:
    return None if parts[0] is None else torch.cat(parts)


def _is_file_or_url(source: str) -> bool:
    return '://' not in source or source.startswith(('http://', 'https://')) or Path(source).is_file()
