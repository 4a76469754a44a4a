"""The names that student and teacher give to the images of training: do they agree, and has the student collapsed?"""

import logging
from typing import Any, Optional

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import Runner
from torch import Tensor

from mmlgd.errors import shown
from mmlgd.models.zero_shot import effective_number, zero_shot_scores
from mmlgd.registry import HOOKS
from mmlgd.utils.models import plain_model

ONE = 1.5  # a teacher that uses fewer names gives nearly always the same answer
FEW = 0.5  # a student that uses fewer than half of the names that its teacher uses has collapsed
BLIND = (
    'The teacher gives nearly always the same answer, so these names teach nothing on these images: try another '
    'teacher, or other names, by `mmlgd teacher`.'
)


@HOOKS.register_module()
class AnswersHook(Hook):
    r"""Log what student and teacher answer for the images of training, and warn of a student that has collapsed.

    The answer to an image is its nearest class name. With each line of the log, over the images since the line before:

    - ``agreement``: images with the same answer of both, in per cent;
    - ``effective_classes`` and ``teacher_effective_classes``: :math:`\exp H(p)`, where p is the share of each name
      among the answers: K if all are used equally often, 1 if the answer is always the same;
    - ``names_excess``: :math:`\frac1N \sum_n KL\big(\sigma(t_n \cdot \text{TSB} / \tau_T)\,\|\,\sigma(s_n \cdot
      \text{TSB} / \tau_S)\big)` in nats, how far the loss over class names is above its least possible value, which is
      the entropy of the teacher's answers: 0 for a perfect student.

    These are the embeddings of the training step, of augmented images: nothing is computed twice, and stored embeddings
    do as well. From half of the training on, an epoch in which the student uses fewer than half as many names as the
    teacher gets a warning. The last line of the training says what came of it.

    Examples:
        >>> default_hooks = dict(answers=dict(type='mmlgd.AnswersHook'))
    """

    def before_train(self, runner: Runner) -> None:
        """Find out how often the runner logs.

        Args:
            runner (Runner): The runner.
        """
        self._interval = min((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), default=1)
        self._names = plain_model(runner).class_names
        self._warned = False
        self._start_epoch()

    def _start_epoch(self) -> None:
        self._lately = self._in_epoch = None

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Count the answers of a step, and hand them to the logger when it writes a line.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Number of the step in its epoch.
            data_batch (Any): Not used.
            outputs (dict, optional): Not used.
        """
        self._lately = _sum(self._lately, count_answers(plain_model(runner)))
        if self.every_n_inner_iters(batch_idx, self._interval) or self.end_of_epoch(runner.train_dataloader, batch_idx):
            self._hand_on(runner)

    def _hand_on(self, runner: Runner) -> None:
        all_reduce(self._lately)
        lately, self._lately = self._lately.cpu().double(), None
        self._in_epoch = _sum(self._in_epoch, lately)
        for key, value in summarise(lately).items():
            runner.message_hub.update_scalar(f'train/{key}', value)

    def after_train_epoch(self, runner: Runner) -> None:
        """Say what the student answers, and warn if it uses few names.

        Args:
            runner (Runner): The runner.
        """
        if self._lately is not None:  # with a loop that has no epochs
            self._hand_on(runner)
        if self._in_epoch is None:
            return
        figures, text = summarise(self._in_epoch), ''
        used, its = figures['effective_classes'], figures['teacher_effective_classes']
        told = (
            f'Class names of the training images: the student agrees with its teacher on {figures["agreement"]:.1f} %, '
            f'and uses {used:.1f} of {len(self._names)} names where the teacher uses {its:.1f} (effective numbers).'
        )
        collapsed = used < FEW * its
        if collapsed:
            student, teacher = self._in_epoch[2:].view(2, -1)
            share, k = (student / student.sum()).max(dim=0)
            recipe = '' if plain_model(runner).queue else '--recipe small-data, '  # which has a queue
            text = (
                f' It has collapsed onto few names: its answer is {shown(self._names[k])!r} for {100 * share:.0f} % of '
                f'the images, and that of the teacher for {100 * teacher[k] / teacher.sum():.0f} %. Its zero-shot '
                f'answers are of little use. This helps: more steps (--epochs, or a smaller --batch-size), '
                f'{recipe}and names that the teacher tells apart.'
            )
        if its < ONE:
            text += f' {BLIND}'
        runner.message_hub.update_info('answers', told + text)
        if collapsed and not self._warned and 2 * (runner.iter + 1) >= runner.max_iters:
            self._warned = True
            runner.logger.log(logging.WARNING, told + text)
        self._start_epoch()


@torch.no_grad()
def count_answers(model) -> Tensor:
    """Count the answers of a model's latest step.

    Args:
        model (LGD): After a step.

    Returns:
        Tensor: (2 + 2 K,) float32 on the model's device: the images with the same answer of student and teacher, the
        sum of their divergences in nats, and how often the student and the teacher gave each of K answers. Such counts
        add up over steps and processes.
    """
    bank, loss = model.textual_bank.bank, model.criterion
    s, t = model.compared
    p = zero_shot_scores(t, bank, loss.teacher_temperature)  # (N, K)
    q = zero_shot_scores(s, bank, loss.student_temperature)  # (N, K)
    excess = (torch.special.xlogy(p, p) - torch.special.xlogy(p, q.clamp(min=1e-30))).sum()
    given, its = q.argmax(dim=1), p.argmax(dim=1)
    counts = p.new_zeros(2, len(bank))  # bincount would wait for the device
    counts.scatter_add_(1, torch.stack([given, its]), torch.ones_like(counts[:, :1]).expand(-1, len(given)))
    return torch.cat([torch.stack([(given == its).sum(), excess]), counts.flatten()])


def summarise(counted: Tensor) -> dict[str, float]:
    """Turn counts of :func:`count_answers` into figures.

    Args:
        counted (Tensor): (2 + 2 K,), of one image or more.

    Returns:
        Dict[str, float]: ``agreement`` in per cent, ``effective_classes``, ``teacher_effective_classes`` and
        ``names_excess`` in nats.

    Examples:
        >>> summarise(torch.tensor([1.0, 3.0, 2.0, 0.0, 1.0, 1.0]))['agreement']  # two images, of two names
        50.0
    """
    student, teacher = counted[2:].view(2, -1)
    agreed, excess, images = *counted[:2].tolist(), student.sum().item()
    return dict(
        agreement=100 * agreed / images,
        effective_classes=effective_number(student),
        teacher_effective_classes=effective_number(teacher),
        names_excess=excess / images,
    )


def _sum(so_far: Optional[Tensor], more: Tensor) -> Tensor:
    return more if so_far is None else so_far + more
