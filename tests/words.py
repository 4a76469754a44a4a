"""Class names, templates and teacher of a checkpoint, changed."""

from mmlgd.checkpoints.words import tensor_of, words_of

KEY = 'textual_bank._extra_state'


def change_words(checkpoint, **changes):
    """Let a checkpoint (or a state dict) tell other words, in place."""
    state = checkpoint.get('state_dict', checkpoint)
    state[KEY] = tensor_of({**words_of(state[KEY]), **changes})
