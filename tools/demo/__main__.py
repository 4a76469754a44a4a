"""The whole method in minutes, offline: a rendered world, a teacher, a student, and downstream tasks.

Run it as ``python tools/demo`` or ``make demo``.
"""

import argparse
import logging
import os
import warnings
from pathlib import Path

import torch

from mmlgd.cli.tool import run_tool
from mmlgd.demo.run import run_demo
from mmlgd.utils.seeds import seed_number

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    parser.add_argument('--seed', type=seed_number, default=0)
    args = parser.parse_args()
    # The tensors are tiny: a second thread gains nothing, and on a busy machine each step waits for it.
    if 'OMP_NUM_THREADS' not in os.environ:
        torch.set_num_threads(1)
    # open_clip warns that the untrained teacher has no weights; torch warns that it cannot pin memory without a GPU.
    logging.getLogger().setLevel(logging.ERROR)
    warnings.filterwarnings('ignore', category=UserWarning)
    run_tool(lambda: run_demo(args.work_dir, args.seed))
