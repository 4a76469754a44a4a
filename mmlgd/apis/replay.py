"""A broken training step, run again."""

from pathlib import Path
from typing import NamedTuple, Optional, Union

import torch
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from torch import Tensor

from mmlgd.checkpoint_files import CheckpointError, read_checkpoint
from mmlgd.models.lgd import LGD
from mmlgd.registry import MODELS
from mmlgd.teacher_ids import teacher_to_build
from mmlgd.usable import broken_parts

from .checkpoint_configs import buildable, model_config


class Replay(NamedTuple):
    """What was broken in a step, when it was kept and when it was run again.

    Attributes:
        recorded (List[str]): Parts that were broken in the run: ``teacher``, ``student``, names of losses, ``weights``.
        broken (List[str]): Parts that are broken in the replay.
        losses (Dict[str, float]): Of the replay.
        gradients (List[str]): Parameters whose gradient has NaN or Inf in it.
        paths (List[str]): Pictures of the batch.
        student (Tensor): (N, D), the student's embeddings.
        teacher (Tensor): (N, D), the teacher's.
    """

    recorded: list[str]
    broken: list[str]
    losses: dict[str, float]
    gradients: list[str]
    paths: list[str]
    student: Tensor
    teacher: Tensor


def replay_step(file: Union[str, Path], model: Optional[LGD] = None, teacher: Optional[dict] = None) -> Replay:
    """Run a step again that :class:`~mmlgd.engine.FiniteCheckHook` has kept: forward and backward, no update.

    With the inputs, weights, banks, random numbers and precision of the run; on a GPU where there is one. In a
    distributed run, it is the step of one rank: batch norm that is synchronised has other statistics here.

    Args:
        file (str | Path): ``broken_steps/iter_N_rank_R.pth`` in a work dir; nothing in it is executed.
        model (LGD, optional): A model to run it with. Defaults to None, which builds that of the config in the file,
            its teacher included.
        teacher (dict, optional): Changes to the config of that teacher. Defaults to None. A teacher in a file, a folder
            or a repository has to be named here.

    Returns:
        Replay: What is broken.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is damaged, or is no broken step.
    """
    content = read_checkpoint(file)
    if 'step' not in content:
        raise CheckpointError(
            f'{file} holds no training step, but {", ".join(map(str, content))}. Give a file of broken_steps/ in the '
            f'work dir of the run that stopped.'
        )
    step, settings = content['step'], model_config(content, file)
    if model is None:
        init_default_scope(settings.get('default_scope', 'mmpretrain'))
        parts = dict(buildable(settings['model'], file))
        parts['teacher'] = teacher_to_build(parts.get('teacher'), teacher, file)
        model = MODELS.build(parts)
    device = get_device()
    model = model.to(device).train()
    model.load_state_dict(content['state_dict'])
    seen: dict[str, Tensor] = {}
    handle = model.criterion.register_forward_hook(
        lambda module, args, losses: seen.update(student=args[0].detach(), teacher=args[1])
    )
    stored = step['teacher_embeddings']
    with torch.random.fork_rng(), _precision(settings, device):
        torch.set_rng_state(step['rng']['cpu'])
        if device == 'cuda' and 'cuda' in step['rng']:
            torch.cuda.set_rng_state(step['rng']['cuda'])
        losses = model(
            step['inputs'].to(device), mode='loss', teacher_embeddings=None if stored is None else stored.to(device)
        )
    handle.remove()
    model.zero_grad()
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    return Replay(
        recorded=step['broken'],
        broken=[name for name, bad in broken_parts(**seen, losses=losses).items() if bad],
        losses={name: value.item() for name, value in losses.items()},
        gradients=[name for name, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()],
        paths=step['paths'],
        **seen,
    )


def _precision(settings: dict, device: str) -> torch.autocast:
    """Autocast as mmengine's optimizer wrapper sets it."""
    wrapper = settings.get('optim_wrapper', {})
    half = wrapper.get('type') == 'AmpOptimWrapper'
    return torch.autocast(
        device, dtype=getattr(torch, wrapper.get('dtype') or 'float16') if half else None, enabled=half
    )
