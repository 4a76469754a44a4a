"""The guide: a teacher, what it says of a batch, and the terms that compare the model's feature with it."""

import logging
from typing import Any, Optional, Union

import torch
from mmengine.logging import print_log
from mmpretrain.models import BaseClassifier
from torch import Tensor, nn

from mmlgd.checkpoints.parts import check_weights
from mmlgd.errors import brief
from mmlgd.models.banks import TextualSemanticsBank
from mmlgd.models.embedded import Embedded
from mmlgd.models.lgd import check_looks
from mmlgd.models.losses import DistillationLoss
from mmlgd.models.places import StudentPlaces, place_map
from mmlgd.models.teachers import BaseTeacher
from mmlgd.models.teachers.settings import build_teacher
from mmlgd.utils.building import build_part
from mmlgd.utils.configs import kind_of
from mmlgd.utils.validation import checked_settings, require

from .batch import extents_of, object_weights
from .feature import Feature
from .names import check_names
from .weighing import Weighing


class Guide(nn.Module):
    r"""Compare one feature map of a model with what a teacher says about the same pixels.

    ::

        s = neck(feature)  # unit vectors of each place of the map, and of the image
        t = teacher.encode(inputs)  # of the same padded batch, in the teacher's statistics
        loss = own loss + weight * sum(term(s, t, names) for term in terms)

    The student's places are brought to the teacher's grid, and places on padding are left out. The teacher and the bank
    of names are no sub-modules, and the rest of the guide is not in the model's state dict.

    Args:
        model (BaseModel): The model that is trained.
        teacher (dict): ``'mmlgd.OpenCLIPTeacher'``, ``'mmlgd.ConSETeacher'`` or a ``'mmlgd.TeacherPair'``.
        text (dict, optional): Names and templates; ``type`` defaults to ``'mmlgd.TextualSemanticsBank'``. Its
            ``vocabulary`` must have a name for each class of the data set, in that order. Defaults to None: the class
            names of the data set.
        feature (str): The module whose output is compared. Defaults to ``'backbone'``.
        level (int): Which of its outputs. Defaults to -1, the last, in most backbones the coarsest.
        neck (dict, optional): The projection into the teacher's space; ``type`` defaults to
            ``'mmlgd.ProjectionNeck'``, whose channels are found.
        loss (dict, optional): The terms; ``type`` defaults to ``'mmlgd.DistillationLoss'``. Defaults to None: cosine
            and cross-entropy over the names, of places where the feature has them, and of images in a classifier; with
            a map of looks also its similarities, at a weight of 0.1.
        weight (float | str): Factor of the terms. Defaults to ``'auto'``: it follows the model's own loss, see
            :class:`~mmlgd.models.guided.weighing.Weighing`.
        share (float, optional): With ``'auto'``, the share of that loss. Defaults to None: 0.2.
        fade (float): Share of the training at its end over which the weight falls to 0. Defaults to 0: none.
        focus (str, optional): ``'objects'``: draw as many places on ground-truth objects as elsewhere. Terms on all
            places are not changed. Defaults to None: all places alike.
        keep (bool): Keep the guide's neck and averages in checkpoints, beside the model's weights, so that a run can be
            resumed. Defaults to True.
        backbone (dict, optional): Settings of the model's backbone; :class:`Guided` fills it in.

    Raises:
        ConfigError: The model has no such feature, a setting is out of its range, or a term compares what the feature
            or the teacher do not have.
        TeacherError: The teacher cannot be built, or has no places.
    """

    @checked_settings
    def __init__(
        self,
        model: nn.Module,
        teacher: dict,
        text: Optional[dict] = None,
        feature: str = 'backbone',
        level: int = -1,
        neck: Optional[dict] = None,
        loss: Optional[dict] = None,
        weight: Union[float, str] = 'auto',
        share: Optional[float] = None,
        fade: float = 0.0,
        focus: Optional[str] = None,
        keep: bool = True,
        backbone: Optional[dict] = None,
    ):
        super().__init__()
        require(focus in (None, 'objects'), f"Expected focus='objects' or none, got focus={focus!r}.")
        require(
            not hasattr(model.data_preprocessor, 'data_preprocessor'),
            f'{type(model).__name__} trains on several batches at once, as semi-supervised detectors do, and a guide '
            f'compares one. Guide the detector in it: train its own config, with the labelled images.',
        )
        require(
            kind_of(teacher) not in ('CachedTeacher', 'StoredTeacher'),
            'model.guide.teacher is a store of teacher embeddings, which has views of a pre-training, and a guide asks '
            'about the pixels of each batch. Give the live teacher itself.',
        )
        watched = Feature(model, feature, level)
        zeros, side = watched.of_zeros(model, backbone or {})
        watched.require_trained(zeros)
        built = build_teacher(teacher, 'model.guide.teacher')
        built.expect_pixels_of(model.data_preprocessor)
        is_classifier = isinstance(model, BaseClassifier)
        require(
            not (focus and is_classifier),
            "model.guide.focus='objects' reads ground-truth boxes or masks, which a classifier lacks: leave focus out.",
        )
        loss = loss or dict(terms=_default_terms(zeros.ndim > 2, is_classifier, built.has_looks))
        self.criterion: DistillationLoss = build_part(loss, 'model.guide.loss', 'mmlgd.DistillationLoss')
        self.criterion.check_banks(['text'])
        self.criterion.scale_names(built.names_scale)
        check_looks(self.criterion, built, 'model.guide')
        self.places = StudentPlaces() if self.criterion.needs_places else None
        if self.places is not None:
            place_map([zeros], watched.backbone, (side, side))
            built.check_places(self.criterion, None)
            built.keep_ratio()
        require(
            focus is None or self.criterion.places > 0,
            "model.guide.focus='objects' chooses which places are drawn, and no term of model.guide.loss draws places: "
            'leave focus out.',
        )
        require(
            text is None or 'text' in self.criterion.reads,
            'model.guide.text (or --names) gives names, and no term of model.guide.loss reads them: add '
            'dict(bank="text", on="places"), or leave the names out.',
        )
        settings = dict(neck or {}, in_channels=watched.width, out_channels=built.embed_dim)
        self.kept = nn.ModuleDict(
            dict(
                projection=build_part(settings, 'model.guide.neck', 'mmlgd.ProjectionNeck'),
                weighing=Weighing(weight, share, fade),
            )
        )
        self.focus, self.keep = focus, keep
        self._text = text
        self._named: Optional[list[str]] = None
        self._is_told = False
        heads = getattr(model, 'decode_head', None)  # a cascade of mmsegmentation has several
        head = heads[-1] if isinstance(heads, nn.ModuleList) else heads
        divisor = getattr(model.data_preprocessor, 'pad_size_divisor', 1) if is_classifier else None
        self._frozen = _Frozen(built, watched, getattr(head, 'ignore_index', 255), divisor)
        self._register_state_dict_hook(_leave_out)

    @property
    def teacher(self) -> BaseTeacher:
        """BaseTeacher: The frozen teacher."""
        return self._frozen.teacher

    @property
    def weighing(self) -> Weighing:
        """Weighing: The factor of the terms."""
        return self.kept['weighing']

    @property
    def feature(self) -> Feature:
        """Feature: What it watches."""
        return self._frozen.feature

    @property
    def class_names(self) -> Optional[list[str]]:
        """List[str] | None: The K names of the bank; None if no term reads them, or before :meth:`name`."""
        return self._frozen.bank and self._frozen.bank.class_names

    def name(self, classes: Optional[list[str]]) -> None:
        """Build the bank of names, and drop the teacher's text tower; nothing is done if no term reads names.

        Args:
            classes (List[str], optional): Class names of the data set, in label order; None if it has none.

        Raises:
            ConfigError: There are no names, those of the config do not agree with the classes, or the guide has other
                names already.
        """
        self._is_told = True
        if 'text' in self.criterion.reads:
            settings = dict(self._text or {})
            settings['vocabulary'] = check_names(settings.get('vocabulary'), classes)
            if self._frozen.bank is not None:  # the runner goes on, to train more or to test
                require(
                    settings['vocabulary'] == self._named,
                    f'The guide has the names {brief(self._named)}, and was to be given '
                    f'{brief(settings["vocabulary"])}. Build the model anew for another data set.',
                )
                return
            self._named = settings['vocabulary']
            if len(self._named) == 1:
                print_log(
                    'The data set has one class: terms over names say nothing, and are 0. The others count.',
                    'current',
                    logging.WARNING,
                )
            build = (settings, 'model.guide.text', 'mmlgd.TextualSemanticsBank')
            self._frozen.bank = build_part(*build, teacher=self.teacher)
        self.teacher.free_text_tower()

    def forward(self, feature: Tensor, inputs: Tensor, samples: Optional[list], own: Tensor) -> dict[str, Tensor]:
        """Compute the teacher's terms of a step.

        Args:
            feature (Tensor): (N, C, h, w), (N, T, C) tokens, or (N, C).
            inputs (Tensor): (N, 3, H, W), preprocessed by the model.
            samples (List[BaseDataElement], optional): What the model's library knows of the images.
            own (Tensor): The model's own loss, a scalar.

        Returns:
            Dict[str, Tensor]: ``guide.NAME`` of each term, weighted: they add up to the guide's part of the loss; and
            ``guide.weight``.

        Raises:
            ConfigError: :meth:`name` was not called, as without the hook of the guide; or the feature is frozen.
        """
        self._frozen.follow(inputs.device)
        banks = {} if self._frozen.bank is None else dict(text=self._frozen.bank.rows())
        require(
            self._is_told,  # also without terms over names: the hook keeps the guide in checkpoints, and lets it fade
            'The guide has no class names yet. Its hook reads them from the data set: add '
            'default_hooks.guide=dict(type="mmlgd.GuideHook"). Without a runner, call model.guide.name(classes).',
        )
        self.feature.require_trained(feature)
        shape = tuple(inputs.shape[-2:])
        terms = self.criterion(self._learned(feature, shape), self._taught(inputs, samples, shape), banks)
        weight = self.weighing(own, sum(terms.values()))
        return {**{f'guide.{name}': weight * value for name, value in terms.items()}, 'guide.weight': weight}

    def _learned(self, feature: Tensor, shape: tuple[int, int]) -> Embedded:
        neck = self.kept['projection']
        places = None if self.places is None else self.places([feature], self.feature.backbone, neck, shape)
        return Embedded(neck([feature]), places)

    def _taught(self, inputs: Tensor, samples: Optional[list], shape: tuple[int, int]) -> Any:
        if self.places is None:
            return self.teacher.encode(inputs)
        t = self.teacher.encode(inputs, places=True)._replace(extents=extents_of(samples, shape, self._frozen.divisor))
        weights = None
        if self.focus and self.criterion.places:
            there = t.places_on_images().to(inputs.device, non_blocking=True)
            weights = object_weights(samples or [], there, shape, self._frozen.ignored)
        return t.draw(self.criterion.places, weights)

    def saved(self) -> dict[str, Tensor]:
        """Copy what a resumed run needs.

        Returns:
            Dict[str, Tensor]: The neck's weights and the averages of losses, on the host.
        """
        return {name: value.detach().cpu().clone() for name, value in self.kept.state_dict().items()}

    def restore(self, state: dict[str, Tensor], source: str = 'The checkpoint') -> None:
        """Take over what :meth:`saved` has returned.

        Args:
            state (Dict[str, Tensor]): From a checkpoint.
            source (str): Where it comes from, for the error.

        Raises:
            CheckpointError: It is of another guide.
        """
        check_weights(self.kept, state, f'{source}: guide')
        self.kept.load_state_dict(state)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        # A state dict of the plain model has nothing for the guide, which keeps its own values.
        for name, value in self.kept.state_dict().items():
            state_dict.setdefault(f'{prefix}kept.{name}', value)
        super()._load_from_state_dict(state_dict, prefix, *args)


class _Frozen:
    """What is no part of a module tree: neither the optimizer nor copies of the model (of averaged weights) have it."""

    def __init__(self, teacher: BaseTeacher, feature: Feature, ignored: int, divisor: Optional[int]):
        self.teacher, self.feature, self.ignored, self.divisor = teacher, feature, ignored, divisor
        self.bank: Optional[TextualSemanticsBank] = None

    def follow(self, device: torch.device) -> None:
        """Move to the device of a batch."""
        for part in (self.teacher, self.bank):
            if part is not None and next(part.buffers()).device != device:
                part.to(device)

    def __deepcopy__(self, memo: dict) -> '_Frozen':
        return self


def _leave_out(guide: Guide, state: dict, prefix: str, metadata: dict) -> None:
    for key in [key for key in state if key.startswith(prefix)]:
        del state[key]


def _default_terms(has_places: bool, is_classifier: bool, has_looks: bool) -> list[dict]:
    kinds = [*(['places'] if has_places else []), *(['image'] if is_classifier else [])]
    require(
        bool(kinds),
        'The feature that model.guide watches is pooled, and this model is no classifier: name a feature with places, '
        'for example model.guide.feature=backbone.',
    )
    terms = [term for on in kinds for term in (dict(type='mmlgd.CosineTerm', on=on), dict(bank='text', on=on))]
    return [*terms, *([dict(type='mmlgd.SimilarityTerm', on='looks', weight=0.1)] if has_looks else [])]
