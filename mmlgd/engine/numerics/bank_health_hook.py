"""The state of the visual bank, logged after each epoch."""

import math

import torch
import torch.nn.functional as F
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mmlgd.models.base_bank import PROTOTYPES
from mmlgd.registry import HOOKS
from mmlgd.utils.models import plain_model


@HOOKS.register_module()
class BankHealthHook(Hook):
    r"""Log how much of the visual bank is in use, and how clearly each prototype stands for one class name.

    - ``bank/visited``: share of the K rows that some image has visited.
    - ``bank/prototype_entropy``: the mean over visited rows of
      :math:`H\big(\text{softmax}(\text{unit}(\text{VSB}_k) \cdot \text{TSB} / \tau_T)\big) / \ln K`. At 0, each
      prototype stands for one name; at 1, for none.

    The hook writes both to the log, to every backend of the visualizer (TensorBoard and others by config) and to the
    message hub.
    The hook does nothing, and logs this, if the model has no ``visual_bank``, if the bank has no classes (a queue of
    images), or if the loss does not read it.

    Examples:
        >>> default_hooks = dict(bank_health=dict(type='mmlgd.BankHealthHook'))
    """

    priority = 'BELOW_NORMAL'  # with mmengine's logger

    def before_train(self, runner: Runner) -> None:
        """Check whether there is a bank of classes.

        Args:
            runner (Runner): The runner.
        """
        if not _has_class_bank(runner):
            runner.logger.info('BankHealthHook: this model uses no visual bank of classes; nothing is logged.')

    def after_train_epoch(self, runner: Runner) -> None:
        """Log the state of the bank.

        Args:
            runner (Runner): The runner.
        """
        if not _has_class_bank(runner):
            return
        model = plain_model(runner)
        bank = model.visual_bank
        scalars = bank_health(
            bank.bank, bank.visited, model.textual_bank.bank, temperature=model.criterion.teacher_temperature
        )
        scalars = {f'bank/{key}': value for key, value in scalars.items()}
        for key, value in scalars.items():
            runner.message_hub.update_scalar(key, value)
        epoch = runner.epoch + 1
        runner.visualizer.add_scalars(scalars, step=epoch)
        shown = '  '.join(f'{key}: {value:.4f}' for key, value in scalars.items())
        runner.logger.info(f'Epoch(train) [{epoch}]  {shown}')


@torch.no_grad()
def bank_health(bank: Tensor, visited: Tensor, textual_bank: Tensor, temperature: float) -> dict[str, float]:
    """Summarise a visual bank.

    Args:
        bank (Tensor): (K, D), of any length.
        visited (Tensor): (K,) bool.
        textual_bank (Tensor): (K, D), unit rows.
        temperature (float): τ_T > 0.

    Returns:
        Dict[str, float]: ``visited``, and, once a row has been visited, ``prototype_entropy``; both in 0..1.

    Examples:
        >>> names = torch.eye(4)
        >>> health = bank_health(names, torch.tensor([True, False, False, False]), names, temperature=0.01)
        >>> {key: round(value, 3) for key, value in health.items()}
        {'visited': 0.25, 'prototype_entropy': 0.0}
    """
    health = dict(visited=visited.float().mean().item())
    if visited.any():
        probability = (F.normalize(bank[visited], dim=-1) @ textual_bank.T / temperature).softmax(dim=-1)  # (V, K)
        entropy = torch.special.entr(probability).sum(dim=-1).mean().item()
        health['prototype_entropy'] = entropy / math.log(max(2, len(bank)))
    return health


def _has_class_bank(runner: Runner) -> bool:
    model = plain_model(runner)
    bank = getattr(model, 'read_banks', {}).get('visual')
    return bank is not None and bank.role == PROTOTYPES
