"""A training step that was stopped for a NaN or Inf, run again."""

from pathlib import Path
from typing import Optional, Union

from mmlgd.checkpoints.loaders import loading_safely
from mmlgd.engine.numerics.replay import Replay, replay_step


def replay(step: Union[str, Path], *, teacher_options: Optional[dict] = None) -> Replay:
    """Run a training step again that was stopped for a NaN or Inf.

    It has the weights, banks, inputs, random numbers and precision of the run.

    Args:
        step (str | Path): ``broken_steps/iter_N_rank_R.pth`` in the work dir of the run; nothing in it is executed.
        teacher_options (dict, optional): Changes of the teacher's config. A teacher in a file or folder has to be named
            here, as ``model=local-dir:/my/clip``.

    Returns:
        Replay: What was broken in the run, what is in the replay, losses and embeddings.

    Raises:
        MissingFileError: There is no such file.
        CheckpointError: It is no broken step, or one of another model.

    Examples:
        >>> import mmlgd
        >>> mmlgd.replay('work_dirs/RUN/broken_steps/iter_17_rank_0.pth').broken  # doctest: +SKIP
        ['student', 'loss_visual', 'loss_textual']
    """
    with loading_safely():
        return replay_step(step, teacher=teacher_options)
