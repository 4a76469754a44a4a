"""A model of mmdetection, mmsegmentation or mmpretrain whose teacher stays on while it is fine-tuned."""

import functools
import inspect
from typing import Any, Optional, Union

import torch
from mmengine.config import ConfigDict
from mmengine.dist import broadcast
from mmengine.model import BaseModel
from torch import Tensor

from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS
from mmlgd.utils.configs import kind_of
from mmlgd.utils.validation import require

from .guide import Guide


@MODELS.register_module()
class Guided(BaseModel):
    """A model of OpenMMLab as it is, whose loss has a teacher's terms beside its own.

    The object that is built is of a class that derives from the model's own: its parts have the same names, its state
    dict the same keys, and hooks, optimizers and evaluators see the plain model, with one part more, ``guide``. It
    predicts like the plain model, bit for bit.

    Args:
        plain (str | type): ``type`` of the plain model: ``'RetinaNet'``, ``'mmseg.EncoderDecoder'``.
        guide (dict): Settings of the :class:`~mmlgd.models.guided.guide.Guide`.
        **model: All settings of the plain model.

    Raises:
        ConfigError: There is no such model, or the guide does not fit it.

    Examples:
        >>> guide = dict(teacher=dict(type='mmlgd.ConSETeacher'))
        >>> model = dict(type='mmlgd.Guided', plain='RetinaNet', guide=guide)  # and the settings of a RetinaNet
        >>> unguided(model)
        {'type': 'RetinaNet'}
    """

    def __new__(cls, plain: Union[str, type, None] = None, *args: Any, **kwargs: Any):
        """Choose the class; a copy has it already."""
        return super().__new__(_derived(_class_of(plain)) if cls is Guided else cls)

    def __init__(self, plain: Union[str, type], guide: Optional[dict] = None, **model: Any):
        require(
            isinstance(guide, dict) and 'teacher' in guide,
            f'mmlgd.Guided needs guide=dict(teacher=dict(type=...)), got guide={guide!r}.',
        )
        if own := {'model', 'backbone'} & guide.keys():
            raise ConfigError(
                f'model.guide has no setting {", ".join(sorted(own))}: the model that it guides is the one around it. '
                f'Change model.backbone and the other parts there.'
            )
        super().__init__(**model)
        with torch.random.fork_rng(devices=[]):  # the plain model starts as it does without a guide
            self.guide = Guide(model=self, **guide, backbone=model.get('backbone'))

    def init_weights(self) -> None:
        """Initialise the plain model, and make the guide equal on all ranks: mmengine does so by the state dict."""
        guide = self._modules.pop('guide')  # an init_cfg of the plain model is for all layers in it
        try:
            super().init_weights()
        finally:
            self.guide = guide
        for value in self.guide.kept.state_dict().values():
            broadcast(value)

    def forward(self, inputs: Any, data_samples: Optional[list] = None, mode: str = 'tensor') -> Any:
        """Run one of ``'tensor'``, ``'loss'`` and ``'predict'``, as mmengine asks; only ``'loss'`` differs.

        Args:
            inputs (Tensor): (N, 3, H, W), preprocessed.
            data_samples (List[BaseDataElement], optional): As the plain model takes them.
            mode (str): See above. Defaults to ``'tensor'``.

        Returns:
            Any: What the plain model returns; losses have the guide's beside them, as ``guide.NAME``.

        Raises:
            ConfigError: The batch is no tensor, or the watched module did not run once, or returns another feature than
                in evaluation.
        """
        if mode != 'loss':
            return super().forward(inputs, data_samples, mode=mode)
        if not isinstance(inputs, Tensor):
            raise ConfigError(f'mmlgd.Guided takes batches (N, 3, H, W), got a {type(inputs).__name__}.')
        with self.guide.feature.seen() as found:
            losses = super().forward(inputs, data_samples, mode=mode)
        own, _ = self.parse_losses(losses)
        return {**losses, **self.guide(self.guide.feature.only(found, len(inputs)), inputs, data_samples, own)}


def unguided(model: dict) -> dict:
    """Take the guide out of the settings of a model.

    Args:
        model (dict): Of any model; not changed.

    Returns:
        dict: The settings of the plain model.
    """
    if kind_of(model) != 'Guided':
        return model
    settings = model.to_dict() if isinstance(model, ConfigDict) else model  # classes of a lazy config as their paths
    plain = {key: value for key, value in settings.items() if key not in ('plain', 'guide')}
    return type(model)(plain, type=settings['plain'])


def _class_of(plain: Union[str, type, None]) -> type:
    found = plain
    if isinstance(plain, str):
        with MODELS.switch_scope_and_registry(None) as registry:
            found = registry.get(plain)
    if not inspect.isclass(found) or not issubclass(found, BaseModel) or issubclass(found, Guided):
        raise ConfigError(
            f'mmlgd.Guided needs plain=TYPE, the type of the model that is trained, for example "RetinaNet"; got '
            f'{plain!r}, which is no model in this scope.'
        )
    return found


@functools.cache
def _derived(plain: type) -> type:
    return type(f'Guided{plain.__name__}', (Guided, plain), {'__doc__': Guided.__doc__, '__module__': __name__})
