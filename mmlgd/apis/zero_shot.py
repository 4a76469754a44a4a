"""A zero-shot classifier, out of a checkpoint and a vocabulary."""

import copy
from pathlib import Path
from typing import Optional, Union

from mmlgd.building import build_part
from mmlgd.checkpoint_files import CheckpointError, read_checkpoint
from mmlgd.errors import ConfigError
from mmlgd.models import ZeroShotClassifier
from mmlgd.models.banks import TextualSemanticsBank, read_text_state
from mmlgd.teacher_ids import same_teacher, teacher_to_build

from .checkpoint_configs import buildable, model_config
from .checkpoints import check_weights, part_weights, state_dict_of


def get_zero_shot_classifier(
    checkpoint: Union[str, Path],
    vocabulary: Union[str, list, dict, None] = None,
    templates: Union[str, list, None] = None,
    teacher: Optional[dict] = None,
) -> ZeroShotClassifier:
    """Build the student with a textual bank, for prediction: no teacher in it.

    Args:
        checkpoint (str | Path): Of LGD training or of ``publish_model.py``; a file or URL.
        vocabulary (str | list | dict, optional): Class names, see :func:`~mmlgd.text.load_vocabulary`. Defaults to
            None: the names and the bank of training, for which no teacher is needed.
        templates (str | list, optional): Prompt templates. Defaults to None, those of training.
        teacher (dict, optional): Config of the teacher, whose text tower embeds new names; without a ``type``, changes
            to that of training. Defaults to None, that of training, unless it lies in a file, a folder or a repository:
            such a place has to be named here. Another teacher than that of training is refused.

    Returns:
        ZeroShotClassifier: In eval mode, on the CPU; ``.config`` holds the settings of its training, and
        ``.teacher_id`` the identity of its teacher.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The checkpoint is cut off, has no student or no bank, or does not fit.
        VocabularyError: The vocabulary is empty, or holds a duplicate, empty or non-string name.
        ValueError: The teacher is not the one that the student was distilled from.
    """
    content = read_checkpoint(checkpoint)
    state = state_dict_of(content)
    config = model_config(content, checkpoint)
    text = _text_of(state, checkpoint)
    if vocabulary is None and templates is None:
        class_names, bank = text['class_names'], text['bank']
    else:
        teacher = teacher_to_build(buildable(config['model'].get('teacher'), checkpoint), teacher, checkpoint)
        teacher_model = build_part(copy.deepcopy(teacher), 'model.teacher')
        if not same_teacher(teacher_model.identity, text['teacher_id']):
            raise ConfigError(
                f'{checkpoint} was distilled from the teacher {text["teacher_id"]!r}, given is '
                f'{teacher_model.identity!r}: names and pictures would lie in different spaces. Give the teacher of '
                f'its training, with the same weights.'
            )
        new = TextualSemanticsBank(teacher_model, vocabulary or text['class_names'], templates or text['templates'])
        class_names, bank = new.class_names, new.bank
    parts = {part: buildable(config['model'].get(part) or {}, checkpoint) for part in ('backbone', 'neck')}
    # Statistics only: an augmentation is for training, and its library need not be here.
    pixels = dict(buildable(config['model'].get('data_preprocessor') or {}, checkpoint))
    pixels.pop('augmentation', None)
    model = ZeroShotClassifier(
        backbone=parts['backbone'],
        neck={**parts['neck'], 'out_channels': bank.shape[1]},
        class_names=class_names,
        embed_dim=bank.shape[1],
        temperature=(config['model'].get('loss') or {}).get('student_temperature', 0.2),
        data_preprocessor=pixels or None,
    )
    for part in ('backbone', 'neck'):
        weights = part_weights(state, part, checkpoint)
        check_weights(getattr(model, part), weights, checkpoint)
        getattr(model, part).load_state_dict(weights)
    model.bank.copy_(bank)
    model.config = config
    model.teacher_id = text['teacher_id']
    return model.eval()


def _text_of(state: dict, source: Union[str, Path]) -> dict:
    if 'textual_bank._extra_state' not in state or 'textual_bank.bank' not in state:
        raise CheckpointError(
            f'{source} has no textual bank, so it cannot name what it sees: it is a backbone alone. Give the '
            f'checkpoint of LGD training, or its published file.'
        )
    return read_text_state(state, source)
