"""Downstream tasks on the demo world's scenes: a detector and a segmentor from random weights and from the student, and
segmentation by names without any training.
"""

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmlgd.datasets.variables import fill_in
from mmlgd.run.testing import test_config
from mmlgd.utils.paths import place_of

STUDENT = 'student/epoch_10.pth'
METRICS = dict(detector='coco/bbox_mAP', segmentor='mIoU')
SHOWN = 6  # evaluation scenes in the figure
CONFIDENT = 0.3  # boxes below this score are not drawn


class Outcome(NamedTuple):
    """The result of one task.

    Attributes:
        metric (float): COCO's box AP, or mIoU, in per cent.
        images (list): The first scenes of the evaluation set, (H, W, 3) bytes, RGB.
        truth (list): For each scene, boxes (M, 4) and labels (M,); or the index mask (H, W).
        predicted (list): Predictions in the same form.
    """

    metric: float
    images: list
    truth: list
    predicted: list


def fine_tune(task: str, start: str, root: Path, seed: int) -> Outcome:
    """Train a detector or a segmentor of the demo world, and evaluate it.

    Args:
        task (str): ``'detector'`` or ``'segmentor'``.
        start (str): ``'random'``, or ``'lgd'`` for the student below ``root``. Everything else is equal.
        root (Path): The demo's folder.
        seed (int): Seed of head, order and flips; the same for both starts.

    Returns:
        Outcome: Its metric, and its predictions on some scenes.
    """
    cfg = Config.fromfile(place_of('configs') / f'demo/{task}_resnet18-tiny_demo.py')
    cfg.data_root = str(root / 'world')
    fill_in(cfg)
    cfg.work_dir = str(root / f'{task}_{start}')
    cfg.randomness = dict(seed=seed)
    cfg.log_level = 'ERROR'
    if start == 'random':
        cfg.model.backbone.init_cfg = None
    else:
        cfg.model.backbone.init_cfg.checkpoint = str(root / STUDENT)
    with redirect_stdout(io.StringIO()):  # COCO's evaluation prints its own tables
        runner = Runner.from_cfg(cfg)
        runner.train()
    history = runner.message_hub.log_scalars.get(f'val/{METRICS[task]}')
    # mmdet logs nothing if nothing was detected. Its AP is in 0..1, mmseg's mIoU in per cent.
    metric = history.current() * (100 if task == 'detector' else 1) if history else 0.0
    print(f'  {task} from {start}: {METRICS[task]} {metric:.1f} %', flush=True)
    read = _boxes if task == 'detector' else _mask
    return Outcome(float(metric), *_look(runner.model, runner.val_dataloader.dataset, read))


def segment_by_names(scored: str, root: Path) -> Outcome:
    """Segment the demo world's scenes by names, without a mask in training.

    Args:
        scored (str): ``'student'``, or ``'teacher'`` for the places of its teacher.
        root (Path): The demo's folder.

    Returns:
        Outcome: Its mIoU, and its predictions on some scenes.
    """
    options = {
        'data_root': str(root / 'world'),
        'model.scored': scored,
        'model.teacher_options.model': f'local-dir:{root}/teacher',
    }
    config = place_of('configs') / 'demo/names_resnet18-tiny_demo.py'
    cfg = test_config(config, root / STUDENT, work_dir=root / f'names_{scored}', cfg_options=options)
    cfg.log_level = 'ERROR'
    runner = Runner.from_cfg(cfg)
    metric = runner.test()['mIoU']
    print(f'  {scored} by names: mIoU {metric:.1f} %', flush=True)
    return Outcome(float(metric), *_look(runner.model, runner.test_dataloader.dataset, _mask))


@torch.no_grad()
def _look(model: torch.nn.Module, dataset, read) -> tuple[list, list, list]:
    model.eval()
    images, truth, predicted = [], [], []
    for i in range(min(SHOWN, len(dataset))):
        data = dataset[i]
        images.append(data['inputs'].flip(0).permute(1, 2, 0).numpy())  # BGR as loaded, to RGB
        (sample,) = model.test_step(dict(inputs=[data['inputs']], data_samples=[data['data_samples']]))
        truth.append(read(sample, 'gt'))
        predicted.append(read(sample, 'pred'))
    return images, truth, predicted


def _boxes(sample, kind: str) -> tuple[np.ndarray, np.ndarray]:
    instances = sample.gt_instances if kind == 'gt' else sample.pred_instances
    if kind == 'pred':
        instances = instances[instances.scores > CONFIDENT]
    boxes = instances.bboxes  # mmdet's boxes for the truth, a tensor for predictions
    return np.asarray(getattr(boxes, 'tensor', boxes)), np.asarray(instances.labels)


def _mask(sample, kind: str) -> np.ndarray:
    return np.asarray((sample.gt_sem_seg if kind == 'gt' else sample.pred_sem_seg).data[0])
