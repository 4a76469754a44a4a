"""Replay of a broken training step."""

from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

import torch
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from torch import Tensor

from mmlgd.checkpoints.configs import buildable, model_config
from mmlgd.checkpoints.file_handlers import plain_files
from mmlgd.checkpoints.files import CheckpointError, read_checkpoint
from mmlgd.checkpoints.teacher_ids import teacher_to_build
from mmlgd.errors import MMLGDError, brief
from mmlgd.models.embedded import Drawn, Embedded
from mmlgd.models.lgd import LGD
from mmlgd.models.precision import autocast_dtype
from mmlgd.utils.building import build_part

from .step_record import broken_parts


class Replay(NamedTuple):
    """The broken parts of a step, in the run and in its replay.

    Attributes:
        recorded (List[str]): Parts that were broken in the run: ``teacher``, ``student``, both with
            ``_places``, loss names, ``weights``.
        broken (List[str]): Parts that are broken in the replay.
        losses (Dict[str, float]): Losses of the replay.
        gradients (List[str]): Parameters whose gradient has NaN or Inf.
        paths (List[str]): Images of the batch.
        student (Tensor): (N, D), the student's embeddings.
        teacher (Tensor): (N, D), the teacher's embeddings.
    """

    recorded: list[str]
    broken: list[str]
    losses: dict[str, float]
    gradients: list[str]
    paths: list[str]
    student: Tensor
    teacher: Tensor


def replay_step(file: Union[str, Path], model: Optional[LGD] = None, teacher: Optional[dict] = None) -> Replay:
    """Run a step again that :class:`~mmlgd.engine.FiniteCheckHook` has saved: forward and backward, no update.

    It uses the inputs, weights, banks, random numbers and precision of the run, and a GPU if there is one. From a
    distributed run, it replays the step of one rank: synchronised batch norm has other statistics here.

    Args:
        file (str | Path): ``broken_steps/iter_N_rank_R.pth`` in a work dir; nothing in it is executed.
        model (LGD, optional): A model to run it with. Defaults to None: the model of the config in the file is built,
            with its teacher.
        teacher (dict, optional): Changes to the config of that teacher. Defaults to None. A teacher in a file, a folder
            or a repository must be named here.

    Returns:
        Replay: The broken parts.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is damaged, is not a broken step, or belongs to another model; the message gives
            details.
    """
    content = read_checkpoint(file)
    step, settings = _checked_step(content, file), model_config(content, file)
    device = get_device()
    precision = _precision(settings, device, file)
    if model is None:
        scope = settings.get('default_scope', 'mmpretrain')
        with plain_files(), DefaultScope.overwrite_default_scope(scope):
            parts = buildable(settings['model'], 'model', file)
            parts['teacher'] = teacher_to_build(parts.get('teacher'), teacher, file)
            model = build_part(parts, 'model')
    if not isinstance(model, LGD):
        raise CheckpointError(
            f'{file} holds a step of LGD, which a {type(model).__name__} cannot run: give an LGD model.'
        )
    model = model.to(device).train()
    seen: list[Union[Embedded, Drawn]] = []  # the student's, the teacher's
    handle = model.criterion.register_forward_hook(lambda module, args, losses: seen.extend(args[:2]))
    stored = {
        name: None if step.get(name) is None else step[name].to(device)
        for name in ('teacher_embeddings', 'teacher_places')
    }
    try:
        model.load_state_dict(content['state_dict'])
        # By default the generators of all GPUs are kept, and each GPU is started for that.
        with torch.random.fork_rng(devices=[device] if device == 'cuda' else []), precision:
            torch.set_rng_state(step['rng']['cpu'])
            if device == 'cuda' and 'cuda' in step['rng']:
                torch.cuda.set_rng_state(step['rng']['cuda'])
            losses = model(step['inputs'].to(device), mode='loss', **stored)
        model.zero_grad()
        sum(value for name, value in losses.items() if 'loss' in name).backward()
    except (MMLGDError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # sizes that do not match can cause any error in torch
        raise CheckpointError(
            f'{file} holds a step that this model cannot run: {" ".join(str(error).split())[:500]} Give the model of '
            f'the run that stopped, or the original file.'
        ) from error
    finally:
        handle.remove()
    return Replay(
        recorded=step['broken'],
        broken=[name for name, bad in broken_parts(*seen, losses).items() if bad],
        losses={name: value.item() for name, value in losses.items()},
        gradients=[name for name, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()],
        paths=step['paths'],
        student=seen[0].image.detach(),
        teacher=seen[1].image,
    )


def _checked_step(content: dict, file: Union[str, Path]) -> dict:
    """Read the step of a file, as ``StepRecord`` saves it, or report what is missing."""
    if 'step' not in content:
        raise CheckpointError(
            f'{file} is not a saved training step; it holds {", ".join(map(str, content))}. Give a file from '
            f'broken_steps/ in the work dir of the run that stopped.'
        )
    step = content['step'] if isinstance(content['step'], dict) else {}
    rng = step.get('rng') if isinstance(step.get('rng'), dict) else {}
    inputs = step.get('inputs')
    stored, places = step.get('teacher_embeddings'), step.get('teacher_places')
    expected = {
        'state_dict, the weights by their names': isinstance(content.get('state_dict'), dict),
        'step.inputs, images (N, 3, H, W)': _are_numbers(inputs, 4) and inputs.shape[1] == 3 and inputs.numel() > 0,
        'step.teacher_embeddings, (N, D) or none': 'teacher_embeddings' in step
        and (stored is None or _are_numbers(stored, 2)),
        'step.teacher_places, (N, h, w, D), (N, h, w, M, 2) or none': places is None
        or _are_numbers(places, 4)
        or _are_numbers(places, 5),
        'step.rng, states of random generators': 'cpu' in rng and all(map(_is_rng_state, rng.values())),
        'step.broken, names of parts': _are_words(step.get('broken')),
        'step.paths, one for each image': _are_words(step.get('paths')),
    }
    if faults := [name for name, found in expected.items() if not found]:
        raise CheckpointError(
            f'{file} is not a broken step as a run saves it. It lacks {"; ".join(faults)}. Give the file as the run '
            f'wrote it.'
        )
    if len(step['paths']) != len(inputs) or any(x is not None and len(x) != len(inputs) for x in (stored, places)):
        counts = ('no' if x is None else len(x) for x in (stored, places))
        raise CheckpointError(
            f'{file} is not a broken step as a run saves it: it has {len(inputs)} images, {len(step["paths"])} paths '
            f'and {next(counts)} embeddings of them, and places of {next(counts)}. Give the file as it was written.'
        )
    return step


def _are_numbers(value: Any, ndim: int) -> bool:
    is_plain = isinstance(value, Tensor) and value.layout == torch.strided and value.is_floating_point()
    return is_plain and value.ndim == ndim


def _is_rng_state(value: Any) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and value.dtype == torch.uint8


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _precision(settings: dict, device: str, file: Union[str, Path]) -> torch.autocast:
    """Set autocast as mmengine's optimizer wrapper does."""
    wrapper = settings.get('optim_wrapper') or {}
    name = autocast_dtype(wrapper) if isinstance(wrapper, dict) else None
    dtype = name and getattr(torch, str(name), None)
    if not isinstance(wrapper, dict) or (name and not isinstance(dtype, torch.dtype)):
        raise CheckpointError(f'{file} has no valid optim_wrapper, or one without a precision: {brief(wrapper, 200)}.')
    return torch.autocast(device, dtype=dtype, enabled=bool(name))
