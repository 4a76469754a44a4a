"""A check that the teacher tells class names apart on the images of a run."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mmlgd.errors import shown
from mmlgd.models.zero_shot import zero_shot_scores
from mmlgd.registry import HOOKS
from mmlgd.utils.models import plain_model
from mmlgd.utils.seeds import seeded

SAMPLE = 128  # views, at least; a second for ConSE on a CPU
# Share of the largest possible information, ln K. ConSE has 0.55 and more on Tiny-ImageNet and COCO, and 0.36 and 0.08
# on small objects and blood cells, whose names it does not know: docs/pretrain.md.
_ENOUGH = 0.45


@HOOKS.register_module()
class TeacherCheckHook(Hook):
    """Log, before the first step, how many class names the teacher tells apart, and warn if these are few.

    The teacher answers for views of at least 128 images, spread evenly over the data set, or of all images if there are
    fewer; with a teacher store, its stored embeddings are used. A student cannot learn names that its teacher does not
    tell apart. Labels are not read, so a teacher that is sure but wrong goes unnoticed. Weights, banks and random
    numbers of the run stay as they are. The hook does nothing if the loss does not read the textual bank.

    Examples:
        >>> default_hooks = dict(teacher=dict(type='mmlgd.TeacherCheckHook'))
    """

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Ask the teacher.

        Args:
            runner (Runner): The runner, with the model on its device.
        """
        model = plain_model(runner)
        if 'text' not in model.read_banks:
            return
        with torch.no_grad(), runner.optim_wrapper.optim_context(runner.model):
            batches = _sample(runner.train_dataloader)
            t = torch.cat([_teacher_embeddings(model, batch) for batch in batches])  # (N, D)
        scores = zero_shot_scores(t, model.textual_bank.bank, model.criterion.teacher_temperature)  # (N, K)
        told, names = names_told_apart(scores), model.class_names
        most, count = scores.argmax(dim=1).mode().values.item(), scores.argmax(dim=1).bincount().max().item()
        text = (
            f'The teacher tells {told:.1f} of {len(names)} class names apart on {len(t)} views of images (1.0: its '
            f'answer is always the same; all: it is sure of each). Its most frequent answer is {shown(names[most])!r}, '
            f'for {100 * count / len(t):.0f} % of them.'
        )
        if tells_few(told, len(names), len(t)):
            runner.logger.warning(
                f'{text} This is little: names will hardly teach the student anything here, and its zero-shot answers '
                f'will stay near chance. This helps: images cropped to the objects, or a larger --size, if the objects '
                f'are small; names of what the images show, and no near-synonyms; another teacher.'
            )
        else:
            runner.logger.info(text)


def names_told_apart(scores: Tensor) -> float:
    r"""Measure how many class names answers tell apart: exp of the mutual information of image and name,

    .. math:: \exp\Big(H\big(\tfrac1N \sum_n p_n\big) - \tfrac1N \sum_n H(p_n)\Big)

    Args:
        scores (Tensor): (N, K), p, rows that sum to 1.

    Returns:
        float: From 1, if all answers are equal, to the smaller of N and K, if each is sure and all are equally
        frequent.

    Examples:
        >>> names_told_apart(torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]))
        2.0
        >>> names_told_apart(torch.tensor([[0.5, 0.5, 0], [0.5, 0.5, 0]]))
        1.0
    """
    of_mean = torch.special.entr(scores.mean(dim=0)).sum()
    mean_of = torch.special.entr(scores).sum(dim=1).mean()
    return (of_mean - mean_of).clamp(min=0).exp().item()


def tells_few(told: float, names: int, images: int) -> bool:
    """Decide whether a teacher tells so few names apart that a student can hardly learn them.

    Args:
        told (float): Of :func:`names_told_apart`.
        names (int): K.
        images (int): N.

    Returns:
        bool: Whether it has less than 0.45 of the largest possible information.

    Examples:
        >>> tells_few(1.1, names=3, images=128), tells_few(3.6, names=10, images=128)
        (True, False)
    """
    return math.log(told) < _ENOUGH * math.log(min(names, images))


def _sample(loader) -> list[dict]:
    """Load batches of the run's own size, for which the teacher may be compiled, without advancing its sampler."""
    dataset = loader.dataset
    size = min(loader.batch_size or SAMPLE, len(dataset))
    count = min(math.ceil(SAMPLE / size), len(dataset) // size)
    with seeded(0):
        samples = [dataset[int(k)] for k in np.linspace(0, len(dataset) - 1, size * count)]
    return [loader.collate_fn(samples[k : k + size]) for k in range(0, len(samples), size)]


def _teacher_embeddings(model, batch: dict) -> Tensor:
    """Embed a batch as a step does; a batch from a store brings its embeddings along."""
    data = model.data_preprocessor(batch, False)
    if (stored := data.get('teacher_embeddings')) is not None:
        return F.normalize(stored.float(), dim=-1)
    inputs = data['inputs'].contiguous(memory_format=model.memory_format)
    # With terms on places, a step sees images at the teacher's places_size, in one pass for both.
    return model.teacher.encode(inputs, places=bool(model.criterion.needs_places)).image
