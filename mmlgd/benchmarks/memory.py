"""Steps of pre-training on a CPU in processes of their own, whose memory is kept or given back to the system."""

import multiprocessing
import resource
import time
from multiprocessing.connection import Connection

import torch

from mmlgd.errors import ConfigError
from mmlgd.utils.memory import keep_freed_memory

from .ours import build_lgd, optimizer_of, words_settings

Steps = dict[str, list[dict[str, float]]]


def measure_steps(teacher: str, batch: int, size: int, rounds: int, warmup: int) -> Steps:
    """Take the same steps in two processes in turns: one as the system starts it, one after ``keep_freed_memory``.

    Args:
        teacher (str): An open_clip architecture, or ``'conse'``.
        batch (int): Images of a step.
        size (int): Their side in pixels.
        rounds (int): Steps of each process.
        warmup (int): Steps of each before, which are not measured.

    Returns:
        Dict[str, List[Dict[str, float]]]: For ``'given back'`` and ``'kept'``, of each step: ``seconds``, ``cpu``
        (seconds), ``faults`` (pages that the system had to provide) and ``most`` (MiB of the process so far).
    """
    context, ways = multiprocessing.get_context('spawn'), {}
    for name in ('given back', 'kept'):
        ways[name], far = context.Pipe()
        details = (far, name == 'kept', teacher, batch, size, torch.get_num_threads())
        context.Process(target=_take_steps, args=details, daemon=True).start()
        far.close()  # so that an error of the process ends this one as well
    found: Steps = {name: [] for name in ways}
    for k in range(warmup + rounds):
        for name, way in ways.items():
            way.send(True)
            step = way.recv()
            found[name] += [step] if k >= warmup else []
    for way in ways.values():
        way.send(False)
    return found


def _take_steps(way: Connection, keeps: bool, teacher: str, batch: int, size: int, threads: int) -> None:
    torch.set_num_threads(threads)
    if keeps and not keep_freed_memory():
        raise ConfigError('This benchmark needs glibc, and a machine without a GPU.')
    model = build_lgd(80, words_settings(teacher), 'cpu', False)
    pixels = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    optimizer = optimizer_of(model, 'cpu')
    while way.recv():
        faults, started, cpu = _usage().ru_minflt, time.perf_counter(), time.process_time()
        model.train_step(dict(inputs=pixels, data_samples=None), optimizer)
        took, busy = time.perf_counter() - started, time.process_time() - cpu
        way.send(dict(seconds=took, cpu=busy, faults=_usage().ru_minflt - faults, most=_usage().ru_maxrss / 1024))


def _usage() -> resource.struct_rusage:
    return resource.getrusage(resource.RUSAGE_SELF)
