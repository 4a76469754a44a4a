"""Classify images with a student, with the names of its training and with others.

    python examples/classification.py

The student comes with the source tree: the demo's quarter-width ResNet-18, distilled without labels. This script draws
the images. With your own student and images, the three important lines stay the same.
"""

import argparse
from pathlib import Path

import numpy as np

import mmlgd
from mmlgd.demo import DEMO_CLASSES, write_demo_world

STUDENT = next((Path(__file__).parents[1] / 'zoo').glob('lgd_resnet18-tiny_demo_*.pth'))


def main(work_dir: Path, images: int) -> float:
    """Classify images that the student has not seen.

    Args:
        work_dir (Path): Folder for the images and the drawn predictions.
        images (int): Number of images, at least one for each of the ten classes.

    Returns:
        float: Share of correct predictions.
    """
    # 1. Images with labels for comparison: in objects/val, listed in objects/val.txt.
    world = write_demo_world(work_dir / 'world', num_objects=(10, images), num_scenes=(10, 10))
    labels = dict(line.split() for line in (world / 'objects/val.txt').read_text().splitlines())

    # 2. The student with the bank of its training: its names are in the checkpoint, and no teacher is needed.
    inferencer = mmlgd.ZeroShotInferencer(STUDENT, device='cpu')

    # 3. Files, folders, URLs or arrays; `show_dir` draws the predictions.
    results = inferencer(world / 'objects/val', show_dir=work_dir / 'shown')
    right = np.mean([result['pred_label'] == int(labels[Path(result['img_path']).name]) for result in results])
    for result in results[:5]:
        print(f'{Path(result["img_path"]).name}: {result["pred_class"]} ({result["pred_score"]:.2f})')
    print(f'{100 * right:.1f} % of {len(results)} images are right; chance is {100 / len(DEMO_CLASSES):.0f} %.')
    print(f'Images with predictions: {work_dir / "shown"}')

    # Only the backbone, for your own code: a plain module with features of every stage.
    backbone = mmlgd.get_student(STUDENT, out_indices=(0, 1, 2, 3))
    print(f'The backbone has {sum(p.numel() for p in backbone.parameters()):,} parameters.')
    return float(right)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/example_classification'))
    parser.add_argument('--images', type=int, default=100)
    arguments = parser.parse_args()
    main(arguments.work_dir, arguments.images)
