"""A zero-shot classifier, out of a checkpoint and a vocabulary."""

from pathlib import Path
from typing import Optional, Union

from mmlgd.checkpoints.configs import buildable, model_config
from mmlgd.checkpoints.file_handlers import plain_files
from mmlgd.checkpoints.files import CheckpointError, read_checkpoint
from mmlgd.checkpoints.parts import check_weights, part_weights, state_dict_of
from mmlgd.models import ZeroShotClassifier
from mmlgd.models.banks import TextualSemanticsBank, read_text_state
from mmlgd.text import load_templates, load_vocabulary

from .live_teacher import build_live_teacher
from .sized_build import no_larger_than


@plain_files()
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
            to that of training, as ``dict(pretrained='openai:/new/place/weights.pt')``. Defaults to None: that of
            training, unless it lies in a file, a folder or a repository, which has to be named here. After training
            from a store it is the teacher that wrote it, unless the store has these names already;
            ``dict(store='/new/place')`` says where it was moved. Another teacher than that of training is refused.

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
        prompts = load_vocabulary(vocabulary or text['class_names']), load_templates(templates or text['templates'])
        teacher_model = build_live_teacher(config, text['teacher_id'], teacher, checkpoint, prompts)
        new = TextualSemanticsBank(teacher_model, *prompts)
        class_names, bank = new.class_names, new.bank
    parts = {part: buildable(config['model'].get(part) or {}, part, checkpoint) for part in ('backbone', 'neck')}
    # Statistics only: an augmentation is for training, and its library need not be here.
    pixels = buildable(config['model'].get('data_preprocessor') or {}, 'data_preprocessor', checkpoint)
    pixels.pop('augmentation', None)
    weights = {part: part_weights(state, part, checkpoint) for part in parts}
    with no_larger_than({'bank': bank, **weights['backbone'], **weights['neck']}, checkpoint):
        model = ZeroShotClassifier(
            backbone=parts['backbone'],
            neck={**parts['neck'], 'out_channels': bank.shape[1]},
            class_names=class_names,
            embed_dim=bank.shape[1],
            temperature=(config['model'].get('loss') or {}).get('student_temperature', 0.2),
            data_preprocessor=pixels or None,
        )
    for part in parts:
        check_weights(getattr(model, part), weights[part], checkpoint)
        getattr(model, part).load_state_dict(weights[part], strict=False)  # as in get_student
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
