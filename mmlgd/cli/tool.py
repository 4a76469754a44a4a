"""The frame of every tool: files are read as data, and bad input ends it with one paragraph."""

import json
import os
import re
import time
from typing import Callable, Optional

from mmlgd.errors import MMLGDError, reason_of, sentence

_DEAD_WORKER = re.compile(r'DataLoader worker \(pid(?:\(s\))? [\d, ]+\) (?:is killed|exited)')


def run_tool(main: Callable[[], object]) -> None:
    """Run a tool: files are read as data; bad input ends it with one paragraph and exit code 1, without a traceback.

    Args:
        main (Callable): The tool's function. Other errors are bugs, and keep their traceback.

    Raises:
        SystemExit: The input cannot be used, or a process that reads images has died.
    """
    from mmlgd.checkpoints.loaders import loading_safely  # here, so that the help of a verb does not wait for torch

    try:
        with loading_safely():
            main()
    except (MMLGDError, RuntimeError) as error:
        reason = reason_of(error) if isinstance(error, MMLGDError) else _death_of_worker(error)
        if reason is None:
            raise
        _tell_launcher(reason)
        raise SystemExit(f'error: {reason}') from error


def _death_of_worker(error: RuntimeError) -> Optional[str]:
    """Explain torch's error for a data loader's worker that has died; None for all other errors."""
    if not _DEAD_WORKER.search(str(error)):
        return None
    causes = {' '.join(str(one).split()) for one in (error, error.__cause__, error.__context__) if one is not None}
    told = '; '.join(sorted(cause for cause in causes if _DEAD_WORKER.search(cause)))
    return (
        f'A process that reads images has died: {sentence(told)} Usually the machine has run out of memory, or a '
        f'container has run out of shared memory (docker run --shm-size). Reduce train_dataloader.num_workers or '
        f'batch_size, and run the same command again; add --resume to continue training.'
    )


def _tell_launcher(reason: str) -> None:
    """Write the reason where torchrun looks for it, so that its final report contains it."""
    if file := os.environ.get('TORCHELASTIC_ERROR_FILE'):
        with open(file, 'w') as handle:
            json.dump(dict(message=f'error: {reason}', timestamp=int(time.time())), handle)
