"""A zero-shot classifier, out of a checkpoint and a vocabulary."""

import copy
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.device import get_device

from .saved import SavedStudent
from .student import Student


def get_zero_shot_classifier(
    checkpoint: Union[str, Path, SavedStudent, Student],
    vocabulary: Union[str, Path, list, dict, None] = None,
    templates: Union[str, list, None] = None,
    teacher: Optional[dict] = None,
    device: Union[str, torch.device, None] = None,
) -> Student:
    """Get a student with names, on the CPU.

    Args:
        checkpoint (str | Path | SavedStudent | Student): Of LGD training or of ``mmlgd publish``; a file or URL. A
            student is copied.
        vocabulary (str | Path | list | dict, optional): Class names, see :func:`~mmlgd.text.load_vocabulary`. Defaults
            to None: the names and the bank of training, for which no teacher is needed.
        templates (str | list, optional): Prompt templates. Defaults to None, those of training.
        teacher (dict, optional): Config of the teacher that embeds new names, or changes to that of training: see
            :class:`~mmlgd.Student`. Defaults to None, that of training.
        device (str | torch.device, optional): Where the teacher embeds new names. Defaults to None: the accelerator if
            there is one; of a student, its own device.

    Returns:
        Student: In eval mode; called with normalised images (N, 3, H, W) it gives (N, K) scores.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The checkpoint is cut off, has no student or no bank, or does not fit.
        VocabularyError: The vocabulary is empty, or holds a duplicate, empty or non-string name.
        ValueError: The teacher is not the one that the student was distilled from.
    """
    if isinstance(checkpoint, Student):
        student = copy.deepcopy(checkpoint.with_names(vocabulary, templates, teacher, device)).cpu()
        student.eval()
        return student
    student = Student(checkpoint, device='cpu', teacher=teacher)
    return student.with_names(vocabulary, templates, device=device or get_device())
