"""The student as a k-nearest-neighbour classifier: what its features know, without training and without text."""

from typing import Optional

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, broadcast
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from torch import Tensor

from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS
from mmlgd.utils.building import build_part
from mmlgd.utils.validation import checked_settings, require

from .necks import pooled
from .zero_shot import IMAGENET_RGB, set_scores


def weighted_vote(cosine: Tensor, labels: Tensor, num_classes: int, k: int, temperature: float) -> Tensor:
    """Let the k nearest of M labelled pictures vote, each with the weight exp(cos / τ).

    Args:
        cosine (Tensor): (N, M) similarities to the labelled pictures.
        labels (Tensor): (M,), integers below ``num_classes``.
        num_classes (int): Number of classes.
        k (int): Number of neighbours, at most M.
        temperature (float): τ > 0.

    Returns:
        Tensor: (N, ``num_classes``), rows that sum to 1.
    """
    cosine, neighbours = cosine.topk(k, dim=1)  # (N, k)
    weights = (cosine / temperature).softmax(dim=1)  # exp(cos / τ), made to sum to 1
    return weights.new_zeros(len(cosine), num_classes).scatter_add_(1, labels[neighbours], weights)


@MODELS.register_module()
class KNNClassifier(BaseModel):
    r"""Weighted k-nearest-neighbour classifier on a backbone's last feature, averaged over the picture.

    .. math:: p(c \mid x) \propto \sum_{i \in \text{kNN}(x)} [y_i = c]\, \exp\big(\cos(f(x), f_i) / \tau\big)

    with k and τ of Wu et al. (arXiv 1805.01978), as the self-supervised literature reports it. The memory of the
    labelled pictures' features is filled at the first prediction: 2.4 GiB for ImageNet and ResNet-18.

    The weights come from a checkpoint that is loaded into this model (``mmlgd test CONFIG CHECKPOINT``, refused
    unless all of the backbone is in it), or else from ``backbone.init_cfg``, which mmengine's runner does not apply
    when it only tests; ``init_cfg.checkpoint=None`` is a random start.

    Args:
        backbone (dict): The student, as in :class:`~mmlgd.LGD`.
        memory (dict): Dataloader of the labelled pictures, not shuffled, with the pipeline of evaluation.
        num_classes (int): Number of classes.
        k (int): Number of neighbours. Defaults to 20.
        temperature (float): τ > 0. Defaults to 0.07.
        data_preprocessor (dict, optional): Picture statistics. Defaults to ImageNet's, RGB.

    Raises:
        ValueError: When the memory is filled: it holds fewer than k pictures, or a label beyond ``num_classes``.

    Examples:
        >>> import torch
        >>> from mmlgd.models import KNNClassifier
        >>> model = KNNClassifier(dict(type='mmpretrain.ResNet', depth=18), memory=dict(), num_classes=2, k=3)
        >>> model(torch.rand(1, 3, 64, 64)).shape
        torch.Size([1, 512])
        >>> features = torch.nn.functional.normalize(torch.tensor([[0.0, 1], [1, 0], [1, 1], [-1, 0]]))
        >>> model.remember(features, torch.tensor([0, 1, 1, 0]))
        >>> model.vote(torch.tensor([[1.0, 0]])).argmax(dim=1)
        tensor([1])
    """

    @checked_settings
    def __init__(
        self,
        backbone: dict,
        memory: dict,
        num_classes: int,
        k: int = 20,
        temperature: float = 0.07,
        data_preprocessor: Optional[dict] = None,
    ):
        super().__init__(data_preprocessor=data_preprocessor or IMAGENET_RGB)
        if (backbone.get('init_cfg') or {}).get('checkpoint', '') is None:
            backbone = {key: value for key, value in backbone.items() if key != 'init_cfg'}
        self.backbone = build_part(backbone, 'model.backbone')
        self.memory = memory
        self.num_classes = num_classes
        require(
            min(num_classes, k) > 0 and temperature > 0,
            f'Expected num_classes, k and temperature above 0, got {num_classes}, {k} and {temperature}.',
        )
        self.k = k
        self.temperature = temperature
        # Not in the checkpoint: they are made from the pictures.
        self.register_buffer('features', None, persistent=False)  # (M, C), unit rows
        self.register_buffer('labels', None, persistent=False)  # (M,)

    def forward(self, inputs: Tensor, data_samples: Optional[list[DataSample]] = None, mode: str = 'tensor'):
        """Describe or classify pictures.

        Args:
            inputs (Tensor): (N, 3, H, W), preprocessed.
            data_samples (List[DataSample], optional): N samples to fill in mode ``'predict'``. Defaults to new ones.
            mode (str): ``'tensor'`` for the features, ``'predict'`` for samples. Defaults to ``'tensor'``.

        Returns:
            Tensor | List[DataSample]: (N, C) features, unit rows, or samples with ``pred_score``, which sums to 1,
            and ``pred_label``.

        Raises:
            ValueError: ``mode`` is neither; there is nothing to train here.
        """
        if mode not in ('tensor', 'predict'):
            raise ValueError(f"Expected mode 'tensor' or 'predict', got {mode!r}; there is nothing to train here.")
        if mode == 'predict' and self.features is None:
            self._fill_memory()
        features = F.normalize(pooled(self.backbone(inputs)).float(), dim=-1)
        if mode == 'tensor':
            return features
        data_samples = data_samples or [DataSample() for _ in inputs]
        set_scores(data_samples, self.vote(features))
        return data_samples

    def remember(self, features: Tensor, labels: Tensor) -> None:
        """Take labelled features as the memory.

        Args:
            features (Tensor): (M, C), unit rows.
            labels (Tensor): (M,), integers below ``num_classes``.
        """
        if len(features) < self.k:
            raise ConfigError(f'The memory holds {len(features)} pictures, fewer than k={self.k} neighbours: lower k.')
        if int(labels.max()) >= self.num_classes:
            raise ConfigError(
                f'The memory has the label {int(labels.max())}, but num_classes={self.num_classes}. Give num_classes '
                f'of that data set.'
            )
        self.features, self.labels = features, labels

    def vote(self, features: Tensor) -> Tensor:
        """Let the nearest neighbours vote.

        Args:
            features (Tensor): (N, C), unit rows.

        Returns:
            Tensor: (N, ``num_classes``), rows that sum to 1.
        """
        return weighted_vote(features @ self.features.T, self.labels, self.num_classes, self.k, self.temperature)

    @torch.no_grad()
    def _fill_memory(self) -> None:
        if not self.is_init:
            self._start()
        self.eval()
        loader = Runner.build_dataloader(self.memory)
        labels = torch.as_tensor(loader.dataset.get_gt_labels())
        print_log(f'k-NN: computing the features of {len(labels)} labelled pictures', logger='current')
        features = None
        for batch in loader:
            batch = self.data_preprocessor(batch, False)
            rows = self(batch['inputs'])
            if features is None:
                features = rows.new_zeros(len(labels), rows.shape[1])
            features[[sample.sample_idx for sample in batch['data_samples']]] = rows
        # Each rank has seen its part. A sampler that pads gives a picture to two ranks: a doubled row, the same once
        # it has unit length again.
        all_reduce(features)
        self.remember(F.normalize(features, dim=-1), labels.to(features.device))

    def _start(self) -> None:
        # mmengine loads what fits, and a random backbone also has neighbours: all of it must be in the checkpoint.
        from mmlgd.checkpoints.starts import check_start, read_start  # not above: the APIs build on the models

        init_cfg = self.backbone.init_cfg
        if isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained':
            source = init_cfg['checkpoint']
            check_start(self.backbone, read_start(source), init_cfg.get('prefix'), source)
        self.init_weights()
        for value in self.backbone.state_dict().values():
            broadcast(value)  # a random start differs between ranks

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        from mmlgd.checkpoints.parts import check_weights, part_weights

        check_weights(self.backbone, part_weights(state_dict, f'{prefix}backbone'))
        self.is_init = True
        self.features = self.labels = None
        super()._load_from_state_dict(state_dict, prefix, *args)
