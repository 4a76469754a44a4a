r"""Run a training step again that was stopped for a NaN or Inf, and say what is broken in it.

python tools/replay_step.py work_dirs/RUN/broken_steps/iter_17_rank_0.pth
"""

import argparse

from mmengine.config import DictAction

from mmlgd.cli.tool import run_tool
from mmlgd.engine.numerics.replay import replay_step
from mmlgd.utils.numerics import usable_rows


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('step', help='broken_steps/iter_N_rank_R.pth in the work dir of the run')
    parser.add_argument(
        '--teacher-options',
        nargs='+',
        action=DictAction,
        help="changes to the teacher's config; one in a file or folder has to be named, as model=local-dir:/my/clip",
    )
    return parser.parse_args()


def main() -> None:
    """Replay the step and print what is broken."""
    args = parse_args()
    replay = replay_step(args.step, teacher=args.teacher_options)
    print(f'broken in the run:    {", ".join(replay.recorded)}')
    print(f'broken in the replay: {", ".join(replay.broken) or "nothing"}')
    for name, value in replay.losses.items():
        print(f'  {name}: {value:.6g}')
    if replay.gradients:
        print(f'gradients with NaN or Inf: {len(replay.gradients)} parameters, the first {replay.gradients[0]}')
    fine = replay.student.isfinite().all(dim=1) & usable_rows(replay.teacher)
    for path, student, teacher, good in zip(replay.paths, replay.student, replay.teacher, fine.tolist()):
        if not good:
            print(f'  {path}: length of the embeddings: student {student.norm():.4g}, teacher {teacher.norm():.4g}')


if __name__ == '__main__':
    run_tool(main)
