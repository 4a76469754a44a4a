"""Replay of a training step that stopped for a NaN or Inf."""

from pathlib import Path
from typing import TYPE_CHECKING, Optional, Union

if TYPE_CHECKING:
    from mmlgd.engine.numerics.replay import Replay

# Large packages are imported inside functions: the help of `mmlgd replay`, which reads this module, must not wait for
# them.


def replay(step: Union[str, Path], *, teacher_options: Optional[dict] = None) -> 'Replay':
    """Run a training step again that stopped for a NaN or Inf.

    It uses the weights, banks, inputs, random numbers and precision of the run.

    Args:
        step (str | Path): ``broken_steps/iter_N_rank_R.pth`` in the work dir of the run; nothing in it is executed.
        teacher_options (dict, optional): Changes to the teacher's config. A teacher in a file or folder must be named
            here, for example ``model=local-dir:/my/clip``.

    Returns:
        Replay: The broken parts in the run and in the replay, losses and embeddings.

    Raises:
        MissingFileError: There is no such file.
        CheckpointError: It is not a broken step, or belongs to another model.

    Examples:
        >>> import mmlgd
        >>> mmlgd.replay('work_dirs/RUN/broken_steps/iter_17_rank_0.pth').broken  # doctest: +SKIP
        ['student', 'loss_visual', 'loss_textual']
    """
    from mmlgd.checkpoints.loaders import loading_safely
    from mmlgd.engine.numerics.replay import replay_step

    with loading_safely():
        return replay_step(step, teacher=teacher_options)
