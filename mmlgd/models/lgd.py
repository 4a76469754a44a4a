"""The algorithm: wiring only. The maths is in losses.py and banks.py."""

import inspect
from typing import Optional, Union

import torch
import torch.nn.functional as F
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmpretrain.models.selfsup import BaseSelfSupervisor
from mmpretrain.structures import DataSample
from torch import Tensor

from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS
from mmlgd.utils.building import build_part
from mmlgd.utils.validation import checked_settings, require

from .compilation import compile_module
from .necks import fit_neck
from .teachers import BaseTeacher
from .zero_shot import IMAGENET_RGB, set_scores, zero_shot_scores


@MODELS.register_module()
class LGD(BaseSelfSupervisor):
    r"""Language-guided distillation (LGD, Li et al., T-MM 2024, arXiv 2406.11689).

    ::

        x = preprocess(pictures)                       # (N, 3, H, W)
        s = neck(backbone(x))                          # (N, D) unit, the student, trained
        t = teacher.encode_image(x)                    # (N, D) unit, frozen
        loss = a * H(t~[VSB, t], s~[VSB, t]) + (1 - a) * H(t~TSB, s~TSB)
        VSB = LGKA(VSB, t, TSB)                        # after the losses

    The teacher is no sub-module: it follows ``.to(device)``, but the optimizer, DDP, ``train()``,
    ``init_weights()`` and the checkpoint never meet it.

    Args:
        backbone (dict): The student, any backbone of mmpretrain (or ``mmpretrain.TIMMBackbone``).
        neck (dict): Its projection; ``type`` defaults to ``'mmlgd.ProjectionNeck'``, ``out_channels`` to the
            teacher's dimension, and ``in_channels`` to the width that a pass of zeros through the backbone finds.
        teacher (dict): ``'mmlgd.OpenCLIPTeacher'``, ``'mmlgd.ConSETeacher'``, or ``'mmlgd.StoredTeacher'``.
        text (dict): The textual bank's vocabulary and templates; ``type`` defaults to
            ``'mmlgd.TextualSemanticsBank'``.
        loss (dict, optional): Temperatures, weight and options; ``type`` defaults to ``'mmlgd.LGDLoss'``.
            Defaults to the published values.
        visual_bank (dict, optional): Momentum and options; ``type`` defaults to ``'mmlgd.VisualSemanticsBank'``,
            its size comes from the textual bank. ``dict(type='mmlgd.QueueBank', size=65536)`` is SEED's, with
            ``loss=dict(alpha=1.0)``. Defaults to the published values.
        queue (dict, optional): A third bank beside the two, with a part of the loss of its own; ``type`` defaults to
            ``'mmlgd.QueueBank'``. Defaults to None: none.
        predict_teacher (bool): Let :meth:`predict` score with the teacher too, so that the log shows both side by
            side. Defaults to True.
        channels_last (bool): Keep pictures, student and teacher in channels-last memory, which convolutions are faster
            with: on a GPU in 16 bits, and on a CPU. The result is the same to rounding. Defaults to False.
        compile (bool | str): Compile the student's backbone and neck with ``torch.compile`` where the platform can;
            ``'auto'``: on a GPU alone. The teacher has the same option. Defaults to False.
        data_preprocessor (dict, optional): Picture statistics of the *student*. Defaults to
            ``mmlgd.PretrainDataPreprocessor`` with ImageNet's mean and std and RGB order.
        init_cfg (dict, optional): Initialisation. Defaults to None.

    Raises:
        ConfigError: The neck's ``out_channels`` contradicts the teacher's dimension, or there is a queue that the loss
            does not read; the message names both.
    """

    @checked_settings
    def __init__(
        self,
        backbone: dict,
        neck: dict,
        teacher: dict,
        text: dict,
        loss: Optional[dict] = None,
        visual_bank: Optional[dict] = None,
        queue: Optional[dict] = None,
        predict_teacher: bool = True,
        channels_last: bool = False,
        compile: Union[bool, str] = False,
        data_preprocessor: Optional[dict] = None,
        init_cfg: Optional[dict] = None,
    ):
        teacher: BaseTeacher = build_part(teacher, 'model.teacher')
        require(isinstance(teacher, BaseTeacher), f'model.teacher is a {type(teacher).__name__}, which is no teacher.')
        _check_joint_space(neck, teacher.embed_dim)
        student = build_part(backbone, 'model.backbone')
        pixels = data_preprocessor or dict(IMAGENET_RGB, type='mmlgd.PretrainDataPreprocessor')
        super().__init__(
            backbone=student,
            neck=build_part(fit_neck(neck, student, backbone, teacher.embed_dim), 'model.neck'),
            data_preprocessor=build_part(pixels, 'model.data_preprocessor', 'mmpretrain.SelfSupDataPreprocessor'),
            init_cfg=init_cfg,
        )
        self.textual_bank = build_part(text, 'model.text', 'mmlgd.TextualSemanticsBank', teacher=teacher)
        teacher.free_text_tower()
        k, d = self.textual_bank.bank.shape
        if k < 2:
            print_log('With a single class name the textual loss is a constant 0: give two or more.', 'current', 30)
        rows = {} if 'size' in (visual_bank or {}) else dict(num_classes=k)  # a queue's size is no number of names
        self.visual_bank = build_part(
            visual_bank, 'model.visual_bank', 'mmlgd.VisualSemanticsBank', embed_dim=d, **rows
        )
        has_queue = queue is not None
        self.queue = build_part(queue, 'model.queue', 'mmlgd.QueueBank', embed_dim=d) if has_queue else None
        self.criterion = build_part(loss, 'model.loss', 'mmlgd.LGDLoss')
        require(
            queue is None or 'queue' in inspect.signature(self.criterion.forward).parameters,
            f'model.queue is a bank that {type(self.criterion).__name__} does not read. Leave model.queue out, or '
            f'choose a loss that compares over a queue, as mmlgd.LGDLoss does.',
        )
        self.predict_teacher = predict_teacher
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.backbone.to(memory_format=self.memory_format)
        teacher.to(memory_format=self.memory_format)
        teacher.expect_pixels_of(self.data_preprocessor)
        compile_module(self.backbone, "the student's backbone", compile)
        compile_module(self.neck, "the student's neck", compile)
        self._unregistered = (teacher,)  # in a tuple, nn.Module does not see it
        self._next_state_is_tensors = False

    @property
    def teacher(self) -> BaseTeacher:
        """BaseTeacher: The frozen teacher, on the student's device."""
        return self._unregistered[0]

    @property
    def class_names(self) -> list[str]:
        """List[str]: The K names of the bank."""
        return self.textual_bank.class_names

    @property
    def reads_visual_bank(self) -> bool:
        """bool: Whether the loss reads the visual bank; one that nobody reads is not updated."""
        return getattr(self.criterion, 'reads_visual_bank', True)

    def init_weights(self) -> None:
        """Initialise the student, as mmengine asks before training."""
        super().init_weights()
        # mmengine's runner then sends each entry of the state dict to the other ranks, and fails on one of words.
        self._next_state_is_tensors = get_world_size() > 1

    def state_dict(self, *args, **kwargs) -> dict:
        """Collect tensors and class names; on several ranks, the first time after ``init_weights``, tensors alone."""
        state = super().state_dict(*args, **kwargs)
        if self._next_state_is_tensors:
            self._next_state_is_tensors = False
            return {name: value for name, value in state.items() if isinstance(value, Tensor)}
        return state

    def embed(self, inputs: Tensor) -> Tensor:
        """Embed pictures with the student.

        Args:
            inputs (Tensor): (N, 3, H, W), preprocessed.

        Returns:
            Tensor: (N, D), unit rows.
        """
        return self.neck(self.extract_feat(inputs))

    def forward(
        self,
        inputs: Tensor,
        data_samples: Optional[list[DataSample]] = None,
        mode: str = 'tensor',
        teacher_embeddings: Optional[Tensor] = None,
    ):
        """Run one of ``'tensor'`` (backbone features), ``'loss'`` and ``'predict'``, as mmengine asks."""
        if mode == 'loss':
            return self.loss(inputs, data_samples, teacher_embeddings)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        return super().forward(inputs, data_samples, mode)

    def loss(
        self,
        inputs: Tensor,
        data_samples: Optional[list[DataSample]] = None,
        teacher_embeddings: Optional[Tensor] = None,
    ) -> dict[str, Tensor]:
        """Compute the losses of a step, then let the banks that they read learn from it.

        Args:
            inputs (Tensor): (N, 3, H, W), preprocessed.
            data_samples (List[DataSample], optional): Not used; LGD needs no labels.
            teacher_embeddings (Tensor, optional): (N, D) of these very views, from a store. Defaults to None, which
                asks the teacher.

        Returns:
            Dict[str, Tensor]: ``loss_visual`` and ``loss_textual`` (and ``loss_queue``), which sum to the loss.
        """
        inputs = self._checked(inputs)
        s = self.embed(inputs)  # (N, D)
        if teacher_embeddings is None:
            t = self.teacher.encode_image(inputs)  # (N, D)
        else:
            t = F.normalize(teacher_embeddings.float(), dim=-1)  # (N, D), stored in half precision
        tsb, vsb, queue = self.textual_bank.bank, self.visual_bank, self.queue
        learning = [vsb] if self.reads_visual_bank else []
        # Copies, since autograd still needs these rows when the updates below write the banks in place.
        rows = (vsb.bank.clone(), vsb.visited.clone()) if learning else (vsb.bank, vsb.visited)
        third = {}
        if queue is not None:
            learning.append(queue)
            third = dict(queue=queue.bank.clone(), queue_visited=queue.visited.clone())
        losses = self.criterion(s, t, tsb, *rows, **third)
        for bank in learning:
            bank.update(t, tsb)
        return losses

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: Optional[list[DataSample]] = None) -> list[DataSample]:
        """Classify zero-shot: similarity of each picture to each class name.

        Args:
            inputs (Tensor): (N, 3, H, W), preprocessed.
            data_samples (List[DataSample], optional): N samples, with labels where there are any. Defaults to
                None, which makes new ones.

        Returns:
            List[DataSample]: With ``pred_score`` (K,), summing to 1, ``pred_label`` and ``embedding`` (D,), of unit
            length; with ``predict_teacher``, the teacher's likewise in ``.teacher``.
        """
        inputs = self._checked(inputs)
        data_samples = data_samples or [DataSample() for _ in inputs]
        self._score(self.embed(inputs), self.criterion.student_temperature, data_samples)
        if self.predict_teacher:
            for sample in data_samples:
                # `eval_mask` is what mmpretrain's MultiTasksMetric asks of a sample inside a sample.
                sample.teacher = DataSample(eval_mask=True)
                if 'gt_label' in sample:
                    sample.teacher.set_gt_label(sample.gt_label)
            nested = [sample.teacher for sample in data_samples]
            self._score(self.teacher.encode_image(inputs), self.criterion.teacher_temperature, nested)
        return data_samples

    def _score(self, embeddings: Tensor, temperature: float, data_samples: list[DataSample]) -> None:
        set_scores(data_samples, zero_shot_scores(embeddings, self.textual_bank.bank, temperature))
        for sample, embedding in zip(data_samples, embeddings):
            sample.embedding = embedding  # what DistillationMetric compares

    def _checked(self, inputs: Tensor) -> Tensor:
        if not isinstance(inputs, Tensor) or inputs.ndim != 4:
            got = f'a {type(inputs).__name__}' if not isinstance(inputs, Tensor) else f'shape {tuple(inputs.shape)}'
            raise ValueError(
                f'Expected a batch of pictures (N, 3, H, W), got {got}. Is `collate_fn=dict(type='
                f'"mmlgd.default_collate")` set in the dataloader? mmengine makes lists by default, which mean views '
                f'of one picture here.'
            )
        return inputs.contiguous(memory_format=self.memory_format)

    def _apply(self, fn, *args, **kwargs):
        self.teacher._apply(fn, *args, **kwargs)  # .to(), .cuda(), .half(): the teacher goes where the student goes
        return super()._apply(fn, *args, **kwargs)


def _check_joint_space(neck: dict, embed_dim: int) -> None:
    if neck.get('out_channels', embed_dim) != embed_dim:
        raise ConfigError(
            f"The neck has out_channels={neck['out_channels']}, but the teacher's joint space has {embed_dim} "
            f'dimensions. Leave out_channels out: it follows the teacher.'
        )
