"""A student, or its teacher, as a model of mmsegmentation that segments by names."""

from typing import Any, Optional, Union

import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement, PixelData
from torch import Tensor

from mmlgd.checkpoints.file_handlers import plain_files
from mmlgd.errors import ConfigError
from mmlgd.models.banks import TextualSemanticsBank
from mmlgd.registry import MODELS
from mmlgd.text import load_vocabulary
from mmlgd.utils.validation import checked_settings, require

from .images import require_finite
from .live_teacher import build_live_teacher
from .saved import SavedStudent
from .segment import IGNORED, Segmentation, Segmenter
from .student import Student
from .windows import find_tower
from .zero_shot import get_zero_shot_classifier


@MODELS.register_module()
class ZeroShotSegmentor(BaseModel):
    """Segments by names, without a mask in training: a model for mmsegmentation's data sets, metrics and tools.

    Its images come at their own size, without a resizing transform: it resizes them itself, as
    :meth:`mmlgd.Student.segment` does. Predictions have the size of the masks.

    Args:
        checkpoint (str): A checkpoint of LGD training or its published file, as a file or URL.
        names (str | list | dict): Class names in label order, see :func:`~mmlgd.text.load_vocabulary`. ``mmlgd test``
            fills in the classes of the data set.
        templates (str | list, optional): Prompt templates. Defaults to None: the templates of training.
        scored (str): ``'student'``, or ``'teacher'`` for the places of its teacher. Defaults to ``'student'``.
        teacher_options (dict, optional): Changes to the config of the teacher, which embeds names, such as
            ``pretrained``. A teacher in a file or folder must be named. Defaults to None.
        size (int, optional): Pixels of the short side of the resized image. Defaults to None: the size of training.
        window (int, optional): See :class:`~mmlgd.student.windows.Windows`. Defaults to None.
        stride (int, optional): See :class:`~mmlgd.student.windows.Windows`. Defaults to None.
        background (float, optional): Threshold in 0..1: pixels whose best score is lower get ``background_label``.
            Defaults to None: a name for each pixel.
        background_label (int): Label of these pixels. Defaults to 255.

    Attributes:
        class_names (List[str]): K names.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        CheckpointError: It has no names, no place in the joint space, or its teacher must be named.
        ConfigError: A setting is out of its range, or checkpoint or names are missing.

    Examples:
        >>> from mmlgd.registry import MODELS
        >>> segmentor = dict(type='mmlgd.ZeroShotSegmentor', checkpoint='epoch_200.pth', names='ade20k')
        >>> MODELS.build(segmentor).class_names[0]  # doctest: +SKIP
        'wall'
    """

    @checked_settings
    def __init__(
        self,
        checkpoint: Optional[str] = None,
        names: Union[str, list, tuple, dict, None] = None,
        templates: Union[str, list, None] = None,
        scored: str = 'student',
        teacher_options: Optional[dict] = None,
        size: Optional[int] = None,
        window: Optional[int] = None,
        stride: Optional[int] = None,
        background: Optional[float] = None,
        background_label: int = 255,
    ):
        require(
            bool(checkpoint and names),
            f'A zero-shot segmentor needs a checkpoint and names, got checkpoint={checkpoint!r} and names={names!r}. '
            f'`mmlgd test CONFIG CHECKPOINT` fills in both; with another tool, set model.checkpoint and model.names.',
        )
        require(scored in ('student', 'teacher'), f"Expected scored='student' or 'teacher', got {scored!r}.")
        super().__init__()
        names = list(names) if isinstance(names, tuple) else names
        saved = SavedStudent.read(checkpoint)
        view = dict(size=size, window=window, stride=stride, background=background)
        self.source, self.background_label = checkpoint, background_label
        self.teacher = None  # both towers are parts of it, so that they follow its device
        if scored == 'student':
            self.student = get_zero_shot_classifier(saved, names, templates, teacher_options)
            self.segmenter = self.student.segmenter(**view)
        else:
            self.student = Student(saved, device='cpu')
            self.teacher, self.segmenter = _of_teacher(saved, self.student, names, templates, teacher_options, **view)

    @property
    def class_names(self) -> list[str]:
        """List[str]: The K names, in label order."""
        return self.segmenter.names

    @property
    def out_channels(self) -> int:
        """int: K, which mmsegmentation's test-time augmentation asks for; its mean over views knows no background."""
        return len(self.class_names)

    def forward(
        self, inputs: list[Tensor], data_samples: Optional[list[BaseDataElement]] = None, mode: str = 'tensor'
    ) -> Union[list[Tensor], list[BaseDataElement]]:
        """Segment images.

        Args:
            inputs (List[Tensor]): N images (3, H, W), BGR, as a data loader of mmsegmentation gives them.
            data_samples (List[SegDataSample], optional): N samples, for mode ``'predict'``.
            mode (str): ``'tensor'`` or ``'predict'``. Defaults to ``'tensor'``.

        Returns:
            List[Tensor] | List[SegDataSample]: Scores (K, H, W) at the size of each input; or the samples with
            ``pred_sem_seg`` (1, H, W) and ``seg_logits`` (K, H, W), of which the softmax is the scores of names, at
            ``ori_shape``.

        Raises:
            ConfigError: ``mode`` is ``'loss'``: there is nothing to train. Or an image has NaN or infinite values.
        """
        if mode not in ('tensor', 'predict'):
            raise ConfigError(f"Expected mode 'tensor' or 'predict', got {mode!r}: a zero-shot segmentor has no loss.")
        if mode == 'tensor':
            return [self._segment(image, image.shape[-2:]).scores for image in inputs]
        for image, sample in zip(inputs, data_samples):
            found = self._segment(_unflipped(image, sample), sample.ori_shape)
            labels = found.labels.long()
            labels[labels == IGNORED] = self.background_label
            logits = found.scores.log_()  # in place: 150 names of a large image fill gigabytes
            sample.set_data(dict(seg_logits=PixelData(data=logits), pred_sem_seg=PixelData(data=labels[None])))
        return data_samples

    def _segment(self, image: Tensor, shape: tuple[int, int]) -> Segmentation:
        require_finite(image)
        return self.segmenter.at_size(self.segmenter.logits(self.segmenter.prepared(image[None]))[0], shape, True)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Load nothing: the student is there. Tools that load a checkpoint into each model must name the same one."""
        own = self.student.state_dict()
        given = {key: value for key, value in state_dict.items() if key.startswith(('backbone.', 'neck.'))}
        if not given or any(key not in own or not torch.equal(own[key].cpu(), given[key].cpu()) for key in given):
            raise ConfigError(
                f'This segmentor has the student of model.checkpoint={str(self.source)!r}, but other weights are to be '
                f'loaded into it. Give the same checkpoint in both places.'
            )
        state_dict.clear()
        state_dict.update(self.state_dict(prefix=prefix))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _of_teacher(saved: SavedStudent, student: Student, names: Any, templates: Any, options: Optional[dict], **view):
    """Build a segmenter of the teacher's places."""
    with plain_files():
        teacher = build_live_teacher(saved.config, student.teacher_id, options, saved.source)
        text = TextualSemanticsBank(teacher, load_vocabulary(names), templates or student.templates)
    teacher.free_text_tower()
    teacher.prepare()  # a store does not know the size at which its teacher has places
    teacher.expect_pixels_of(student.data_preprocessor)
    tower = find_tower(teacher.encode_places, teacher.places_size or teacher.image_size, teacher.mean)
    temperature = saved.temperature('teacher', teacher.names_scale)
    return teacher, Segmenter(tower, text.bank, text.class_names, temperature, student.data_preprocessor, **view)


def _unflipped(image: Tensor, sample: BaseDataElement) -> Tensor:
    """Undo a flip of mmsegmentation's test-time augmentation."""
    if not sample.get('flip'):
        return image
    return image.flip(dict(horizontal=[-1], vertical=[-2], diagonal=[-2, -1])[sample.flip_direction])
