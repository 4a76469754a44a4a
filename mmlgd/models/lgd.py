"""The algorithm: wiring only. The maths is in terms.py, banks.py and queue.py."""

import math
from typing import Optional, Union

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmpretrain.models.selfsup import BaseSelfSupervisor
from mmpretrain.structures import DataSample
from torch import Tensor

from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS
from mmlgd.utils.building import build_part
from mmlgd.utils.validation import checked_settings, require

from .base_bank import PROTOTYPES, QUEUED, Bank, saved_role
from .compilation import compile_module
from .embedded import Drawn, Embedded
from .losses import DistillationLoss
from .necks import fit_neck
from .place_names import are_names
from .places import fit_places
from .teachers import BaseTeacher
from .teachers.settings import build_teacher
from .terms import CLASSES
from .zero_shot import IMAGENET_RGB, set_scores, zero_shot_scores


@MODELS.register_module()
class LGD(BaseSelfSupervisor):
    r"""Language-guided distillation (LGD, Li et al., T-MM 2024, arXiv 2406.11689).

    ::

        x = preprocess(images)  # (N, 3, H, W)
        s = neck(backbone(x))  # (N, D) unit, the student, trained
        t = teacher.encode(x)  # (N, D) unit, frozen
        loss = sum(term(s, t, banks[term.bank]) for term in terms)
        #    = a * H(t~[VSB, t], s~[VSB, t]) + (1 - a) * H(t~TSB, s~TSB) of the paper's two terms
        VSB = LGKA(VSB, t, TSB)  # after the losses

    With terms on places (dense LGD), s and t also have an embedding of each place of the last feature map,
    (N, h, w, D) unit, from the same passes and the same neck. P of these places, the same of s and t, are drawn in each
    step; they go through the same terms, and those of t into a queue of places.

    The teacher is not a sub-module: it follows ``.to(device)``, but the optimizer, DDP, ``train()``, ``init_weights()``
    and the checkpoint never see it.

    Args:
        backbone (dict): The student, any backbone of mmpretrain (or ``mmpretrain.TIMMBackbone``).
        neck (dict): The student's projection; ``type`` defaults to ``'mmlgd.ProjectionNeck'``, ``out_channels`` to the
            teacher's dimension, and ``in_channels`` to the width that a pass of zeros through the backbone finds.
        teacher (dict): ``'mmlgd.OpenCLIPTeacher'``, ``'mmlgd.ConSETeacher'``, a ``'mmlgd.TeacherPair'`` of one of
            them and a teacher for looks, or ``'mmlgd.CachedTeacher'``.
        text (dict): The textual bank's vocabulary and templates; ``type`` defaults to
            ``'mmlgd.TextualSemanticsBank'``.
        loss (dict, optional): The terms: ``type`` defaults to ``'mmlgd.LGDLoss'``, the paper's, with temperatures,
            weight and options; any list of terms is a ``'mmlgd.DistillationLoss'``. Defaults to the published values.
        visual_bank (dict, optional): The bank ``'visual'`` of the terms: momentum and options; ``type`` defaults to
            ``'mmlgd.VisualSemanticsBank'``, its size comes from the textual bank. Defaults to the published values.
        queue (dict, optional): The bank ``'queue'`` of the terms; at least one term must read it. ``type`` defaults to
            ``'mmlgd.QueueBank'``. Defaults to None: no queue.
        place_queue (dict, optional): The bank ``'place_queue'`` of terms on places, likewise; it gets the drawn places
            of the teacher. Defaults to None: no such queue.
        places (dict, optional): Where the student's places lie; ``type`` defaults to ``'mmlgd.StudentPlaces'``. Only
            with terms on places. Defaults to None: on the last feature map.
        predict_teacher (bool): Let :meth:`predict` score with the teacher too, so that the log shows both side by
            side. Defaults to True.
        channels_last (bool): Keep images, student and teacher in channels-last memory, which makes convolutions faster
            on a GPU in 16 bits and on a CPU. The result is the same up to rounding. Defaults to False.
        compile (bool | str): Compile the student's backbone and neck with ``torch.compile`` where the platform can;
            ``'auto'``: only on a GPU. The teacher has the same option. Defaults to False.
        data_preprocessor (dict, optional): Image statistics of the *student*. Defaults to
            ``mmlgd.PretrainDataPreprocessor`` with ImageNet's mean and std and RGB order.
        init_cfg (dict, optional): Initialisation. Defaults to None.

    Attributes:
        compared (Tuple[Tensor, Tensor], optional): What student and teacher said about the images of the latest step,
            (N, D) unit rows without gradient, for hooks that report. None before the first step.

    Raises:
        ConfigError: The neck's ``out_channels`` contradicts the teacher's dimension, a term reads a bank that the model
            lacks, or no term reads a queue; a term compares places or looks that student or teacher do not have, or no
            term does and there is ``places``, or a teacher with a map of looks. The message names both.
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
        place_queue: Optional[dict] = None,
        places: Optional[dict] = None,
        predict_teacher: bool = True,
        channels_last: bool = False,
        compile: Union[bool, str] = False,
        data_preprocessor: Optional[dict] = None,
        init_cfg: Optional[dict] = None,
    ):
        teacher = build_teacher(teacher, 'model.teacher')
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
        if predict_teacher:
            teacher.prepare()
        k, d = self.textual_bank.bank.shape
        if k < 2:
            print_log('With a single class name the textual loss is a constant 0: give two or more.', 'current', 30)
        self.visual_bank = build_part(
            visual_bank, 'model.visual_bank', 'mmlgd.VisualSemanticsBank', offered=dict(num_classes=k), embed_dim=d
        )
        self.queue = _queue(queue, 'model.queue', d)
        self.place_queue = _queue(place_queue, 'model.place_queue', d)
        self.criterion: DistillationLoss = build_part(loss, 'model.loss', 'mmlgd.LGDLoss')
        require(
            isinstance(self.criterion, DistillationLoss),
            f'model.loss is a {type(self.criterion).__name__}, which is not a list of terms.',
        )
        self.criterion.check_banks(self.banks)
        self.criterion.scale_names(teacher.names_scale)
        _tell_temperatures(self.criterion, teacher)
        compared = ', '.join(self.criterion.needs_places)
        if compared:
            teacher.check_places(self.criterion, self.textual_bank)
        check_looks(self.criterion, teacher, 'model')
        require(
            places is None or any(term.on != 'image' for term in self.criterion.terms),
            'No term compares places: leave model.places out, or add on="places".',
        )
        self.places = fit_places(places, student, backbone, self.neck) if compared else None
        self.predict_teacher = predict_teacher
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.backbone.to(memory_format=self.memory_format)
        teacher.to(memory_format=self.memory_format)
        teacher.expect_pixels_of(self.data_preprocessor)
        compile_module(self.backbone, "the student's backbone", compile)
        compile_module(self.neck, "the student's neck", compile)
        self._unregistered = (teacher,)  # nn.Module does not register what is in a tuple
        self.compared: Optional[tuple[Tensor, Tensor]] = None

    @property
    def teacher(self) -> BaseTeacher:
        """BaseTeacher: The frozen teacher, on the student's device."""
        return self._unregistered[0]

    @property
    def class_names(self) -> list[str]:
        """List[str]: The K names of the bank."""
        return self.textual_bank.class_names

    @property
    def banks(self) -> dict[str, Bank]:
        """Dict[str, Bank]: All banks, by the names that terms use."""
        banks = dict(text=self.textual_bank, visual=self.visual_bank, queue=self.queue, place_queue=self.place_queue)
        return {name: bank for name, bank in banks.items() if bank is not None}

    @property
    def read_banks(self) -> dict[str, Bank]:
        """Dict[str, Bank]: The banks that a term reads; the others are not updated."""
        return {name: bank for name, bank in self.banks.items() if name in self.criterion.reads}

    def embed(self, inputs: Tensor) -> Tensor:
        """Embed images with the student.

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
        teacher_places: Optional[Tensor] = None,
    ):
        """Run one of ``'tensor'`` (backbone features), ``'loss'`` and ``'predict'``, as mmengine asks."""
        if mode == 'loss':
            return self.loss(inputs, data_samples, teacher_embeddings, teacher_places)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        return super().forward(inputs, data_samples, mode)

    def loss(
        self,
        inputs: Tensor,
        data_samples: Optional[list[DataSample]] = None,
        teacher_embeddings: Optional[Tensor] = None,
        teacher_places: Optional[Tensor] = None,
    ) -> dict[str, Tensor]:
        """Compute the terms of a step, then update the banks that they read.

        Args:
            inputs (Tensor): (N, 3, H, W), preprocessed.
            data_samples (List[DataSample], optional): Not used; LGD needs no labels.
            teacher_embeddings (Tensor, optional): (N, D) of these very views, from a store. Defaults to None: the
                teacher computes them.
            teacher_places (Tensor, optional): (N, h, w, D) of these very views, beside ``teacher_embeddings``, if terms
                compare places; or their names (N, h, w, M, 2), if terms need no more. Defaults to None.

        Returns:
            Dict[str, Tensor]: A scalar for each term, for the paper's ``loss_visual`` and ``loss_textual``; they sum
            to the loss.

        Raises:
            ConfigError: Terms compare places, and the embeddings come without them.
        """
        inputs = self._checked(inputs)
        s = self._learned(inputs)  # (N, D), places (N, h, w, D)
        t = self._taught(inputs, teacher_embeddings, teacher_places)  # (N, D), places (N, h', w', D)
        banks = self.read_banks
        losses = self.criterion(s, t, {name: bank.rows() for name, bank in banks.items()})
        for name, bank in banks.items():
            bank.update(t.drawn_places() if name == 'place_queue' else t.image, self.textual_bank.bank)
        self.compared = s.image.detach(), t.image
        return losses

    def _learned(self, inputs: Tensor) -> Embedded:
        feats = self.extract_feat(inputs)
        places = None if self.places is None else self.places(feats, self.backbone, self.neck, inputs.shape[-2:])
        return Embedded(self.neck(feats), places)

    def _taught(self, inputs: Tensor, image: Optional[Tensor], places: Optional[Tensor]) -> Union[Embedded, Drawn]:
        compared = self.criterion.needs_places
        if image is None:
            t = self.teacher.encode(inputs, places=bool(compared))
        elif compared and places is None:
            raise ConfigError(
                f'{", ".join(compared)} compare places, but the stored embeddings come without. Train with the live '
                f'teacher or a store with places, or take the terms on places out.'
            )
        else:  # stored in half precision
            if places is not None and not are_names(places):
                places = F.normalize(places.float(), dim=-1)
            t = Embedded(F.normalize(image.float(), dim=-1), places)
        return t.draw(self.criterion.places) if compared else t

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: Optional[list[DataSample]] = None) -> list[DataSample]:
        """Classify zero-shot: similarity of each image to each class name.

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
                # mmpretrain's MultiTasksMetric expects `eval_mask` in a nested sample.
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
                f'Expected a batch of images (N, 3, H, W), got {got}. Is `collate_fn=dict(type='
                f'"mmlgd.default_collate")` set in the dataloader? By default mmengine makes lists, which stand for '
                f'views of one image here.'
            )
        return inputs.contiguous(memory_format=self.memory_format)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        # Earlier checkpoints of SEED have the queue under the name of the visual bank.
        old, new = f'{prefix}visual_bank', f'{prefix}queue'
        if saved_role(state_dict, old) == QUEUED and self.visual_bank.role == PROTOTYPES:
            for key in [key for key in state_dict if key.startswith(f'{old}.')]:
                state_dict[key.replace(old, new, 1)] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _apply(self, fn, *args, **kwargs):
        self.teacher._apply(fn, *args, **kwargs)  # .to(), .cuda(), .half(): the teacher follows the student
        return super()._apply(fn, *args, **kwargs)


def _queue(settings: Optional[dict], where: str, embed_dim: int) -> Optional[Bank]:
    return None if settings is None else build_part(settings, where, 'mmlgd.QueueBank', embed_dim=embed_dim)


def _tell_temperatures(loss: DistillationLoss, teacher: BaseTeacher) -> None:
    """Log the temperatures over names if they follow a pair, or differ from those of the teacher's own training."""
    scale, own = teacher.names_scale, teacher.own_temperature
    terms = [term for term in loss.terms if term.bank in CLASSES and term.weight]
    told = ', '.join(f'{term.name} {term.teacher_temperature:.4g}' for term in terms)
    if scale != 1:
        print_log(
            f"Similarities to class names are {scale:.4g} times those of the words' teacher, and so is τ_T over names "
            f'and prototypes: {told or "no term has one"}.',
            'current',
        )
    if own and any(not math.isclose(term.teacher_temperature, own * scale, rel_tol=0.05) for term in terms):
        whose, when = ("words' teacher", ', before it follows the share') if scale != 1 else ('teacher', '')
        given = ', '.join(f'{term.name} {term.teacher_temperature / scale:.4g}' for term in terms)  # as a config has it
        print_log(
            f'The {whose} was trained with the temperature {own:.4g} over names (its logit scale is {1 / own:.4g}), '
            f'and the loss reads it with another τ_T{when}: {given}. A lower one makes its answers sharper. '
            f'teacher_temperature in model.loss sets it.',
            'current',
        )


def check_looks(loss: DistillationLoss, teacher: BaseTeacher, where: str) -> None:
    """Refuse terms on a map of looks that the teacher does not have, and a map that no term compares.

    Args:
        loss (DistillationLoss): The terms.
        teacher (BaseTeacher): The teacher.
        where (str): What has both, as the config calls it.

    Raises:
        ConfigError: One of the two is missing.
    """
    terms = ', '.join(loss.needs_looks)
    require(
        not terms or teacher.has_looks,
        f'{terms} compare places with a map of looks, and {where}.teacher, a {type(teacher).__name__}, has none. Give '
        f'it one, dict(type="mmlgd.TeacherPair", words=..., looks="similarity"); a store keeps none, so train with the '
        f'live teacher.',
    )
    require(
        not teacher.has_looks or any(term.on == 'looks' for term in loss.terms),  # of any weight: a study sweeps it
        f'No term of {where}.loss reads the similarities of {where}.teacher: add dict(type="mmlgd.SimilarityTerm", '
        'on="looks", weight=0.1), or take looks="similarity" out.',
    )


def _check_joint_space(neck: dict, embed_dim: int) -> None:
    if neck.get('out_channels', embed_dim) != embed_dim:
        raise ConfigError(
            f"The neck has out_channels={neck['out_channels']}, but the teacher's joint space has {embed_dim} "
            f'dimensions. Leave out_channels out: it follows the teacher.'
        )
