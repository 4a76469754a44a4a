"""Run the parts, each in a process and with a limit of its own: what hangs or fails takes nothing from the others."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mmlgd.run.child import end_with_parent
from mmlgd.utils.paths import place_of

from .parts import Part
from .results import DONE, FAILED, LEFT, STOPPED, Outcome

_TAIL = 15  # lines of a failed part's output
_HERE = f'{Path(__file__).resolve().parents[3]}/'  # what is read elsewhere names no folder of this machine


def run_parts(parts: list[Part], images: Path, out: Path, end: float) -> Iterator[Outcome]:
    """Run parts one after the other, until the time is over.

    Args:
        parts (List[Part]): What is run.
        images (Path): Folder of images.
        out (Path): Folder for ``NAME.json`` and ``NAME.log`` of each.
        end (float): When the time is over, in seconds of ``time.monotonic``. A part that runs then is stopped, and the
            rest is not run.

    Yields:
        Outcome: Of each part, when it has ended.
    """
    for part in parts:
        left = end - time.monotonic()
        if left <= 0:
            yield Outcome(part.name, _shown(part), LEFT, 0.0, 'The time was over.')
        else:
            yield _run(part, images, out, min(part.limit, left))


def _shown(part: Part) -> str:
    return shlex.join(['python', f'tools/benchmarks/{part.script}.py', *part.arguments])


def _run(part: Part, images: Path, out: Path, limit: float) -> Outcome:
    file, log = (out / f'{part.name}.{kind}' for kind in ('json', 'log'))
    file.unlink(missing_ok=True)
    script = place_of('tools') / 'benchmarks' / f'{part.script}.py'
    places = dict(IMAGES=str(images), OUT=str(out))
    arguments = [re.sub('^(IMAGES|OUT)', lambda match: places[match[0]], word) for word in part.arguments]
    started = time.monotonic()
    with log.open('wb') as output:
        process = subprocess.Popen(
            [sys.executable, str(script), *arguments, '--json', str(file)],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own, which ends as a whole
            preexec_fn=end_with_parent(),
        )
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            pass
        finally:
            code = process.poll()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    seconds = time.monotonic() - started
    found = json.loads(file.read_text()) if file.is_file() else {}
    state, reason = DONE, ''
    if code is None:
        state, reason = STOPPED, f'It was stopped after {limit:.0f} s.'
    elif code:
        state, reason = FAILED, f'It ended with exit code {code}.'
    elif not found:
        state, reason = FAILED, 'It ended well, and wrote no figures.'
    if reason:
        reason = '\n'.join([reason, *log.read_text(errors='replace').splitlines()[-_TAIL:]]).replace(_HERE, '')
    return Outcome(part.name, _shown(part), state, seconds, reason, found)
