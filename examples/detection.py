"""Detect with a student: mmdetection's ATSS, fine-tuned on drawn scenes from the distilled backbone.

    python examples/detection.py                    # from the student that comes with the source tree
    python examples/detection.py --student none     # the same budget from random weights, for comparison

The important parts: an ordinary config, the start of its backbone, and mmengine's runner.
"""

import argparse
from pathlib import Path

from mmengine.config import Config

import mmlgd  # noqa: F401  registers what the config names
from mmlgd.checkpoints.starts import start_from
from mmlgd.datasets.variables import fill_in
from mmlgd.demo import write_demo_world
from mmlgd.run.terminal import QuietRunner

ROOT = Path(__file__).parents[1]
STUDENT = next((ROOT / 'zoo').glob('lgd_resnet18-tiny_demo_*.pth'))


def main(work_dir: Path, student: str, scenes: int, iterations: int) -> dict:
    """Fine-tune and evaluate.

    Args:
        work_dir (Path): Folder for the images, the log and the checkpoint.
        student (str): A checkpoint, ``'none'``, or a name such as ``'torchvision://resnet18'``.
        scenes (int): Images to train with, at least 10.
        iterations (int): Iterations of fine-tuning, more than the 50 of the warm-up.

    Returns:
        dict: The metrics of mmdetection.
    """
    # 1. Data in a standard format of the library: COCO's, boxes and masks.
    write_demo_world(work_dir / 'world', num_objects=(10, 10), num_scenes=(scenes, 50))

    # 2. An ordinary config of mmdetection. Yours works as well.
    cfg = Config.fromfile(ROOT / 'configs/demo/detector_resnet18-tiny_demo.py')
    cfg.data_root, cfg.iterations = str(work_dir / 'world'), iterations
    fill_in(cfg)  # put the variables of our configs into every data set and the schedule
    cfg.work_dir = str(work_dir / 'run')
    cfg.randomness = dict(seed=0)

    # 3. The only line of mmlgd: the start of the backbone, with all keys checked.
    start_from(cfg, student)

    # 4. Train.
    runner = QuietRunner.from_cfg(cfg)  # mmengine's runner, without some 700 lines about system, config and hooks
    runner.train()

    # 5. Evaluate once more, as a separate script would after `QuietRunner.from_cfg(cfg)` with cfg.load_from.
    metrics = runner.val()
    print(f'Box AP from {Path(student).name}: {100 * metrics.get("coco/bbox_mAP", 0):.1f} %')
    return metrics


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/example_detection'))
    parser.add_argument('--student', default=str(STUDENT))
    parser.add_argument('--scenes', type=int, default=400)
    parser.add_argument('--iterations', type=int, default=400)
    arguments = parser.parse_args()
    main(arguments.work_dir, arguments.student, arguments.scenes, arguments.iterations)
