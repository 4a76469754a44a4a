"""The banks of a run, drawn by the figures of `mmlgd show banks` and `mmlgd names`."""

import tempfile
from pathlib import Path

from PIL import Image

from mmlgd.evaluation.similar_names import confusable
from mmlgd.figures.names import draw_names
from mmlgd.models.banks import read_visual_state
from mmlgd.models.base_bank import PROTOTYPES, saved_role
from mmlgd.run.drawing import draw_banks

from .blocks import Picture, Pictures, Text
from .pictures import jpeg
from .training import Training

_WIDE = 1800  # pixels in the page


def show_banks(run: Training) -> list:
    """Draw both banks, or the class names alone where no term of the loss has moved the visual bank.

    Args:
        run (Training): A run whose checkpoint has names.

    Returns:
        list: Blocks.

    Raises:
        CheckpointError: A bank is damaged.
    """
    text, blocks = run.text, []
    with tempfile.TemporaryDirectory() as folder:
        if _has_prototypes(run):
            (file,) = draw_banks(run.checkpoint, out_dir=folder)
            title = 'Similarities of class names, of prototypes, and between the two'
        else:
            names, bank = text['class_names'], text['bank']
            if len(names) < 2:
                return [Text('The bank has a single name: there is nothing to compare.')]
            file = draw_names(bank, names, confusable(bank), Path(folder, 'names.png'))
            title = 'Similarities of class names'
            blocks = [Text('The loss of this run reads no visual bank, so there are class names alone.')]
        with Image.open(file) as drawn:
            return [*blocks, Pictures('', [Picture(jpeg(drawn, _WIDE), title)], wide=True)]


def _has_prototypes(run: Training) -> bool:
    """Check whether a visual bank of prototypes was updated: one that no term reads stays as it was."""
    state = run.saved.state
    return saved_role(state, 'visual_bank') == PROTOTYPES and bool(read_visual_state(state, run.saved.source)[1].any())
