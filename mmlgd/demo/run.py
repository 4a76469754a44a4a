"""The whole method in minutes, offline: a rendered world, a teacher, a student, and downstream tasks."""

import json
import time
from pathlib import Path

import matplotlib.pyplot as plt
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmlgd.datasets.variables import fill_in
from mmlgd.utils.paths import place_of
from mmlgd.utils.style import STYLE
from mmlgd.utils.substitution import refuse_substitution

from .downstream import fine_tune, segment_by_names
from .figures import draw_detections, draw_names, draw_predictions, draw_segmentations, draw_similarity
from .student import look_at
from .teacher import train_teacher
from .world import write_demo_world

METRIC_NAMES = dict(detector='ap', segmentor='miou')
CONFIG = 'demo/lgd_resnet18-tiny_demo.py'


class PrintAccuracy(Hook):
    """Print the student's accuracy after each epoch."""

    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        """Print one line."""
        print(
            f'  student epoch {runner.epoch}/{runner.max_epochs}  zero-shot {metrics["accuracy/top1"]:.1f} %',
            flush=True,
        )


def run_demo(root: Path, seed: int) -> dict:
    """Run the demo and write its summary and images.

    Args:
        root (Path): Folder for all output.
        seed (int): Seed of teacher and student; the world is always the same.

    Returns:
        dict: ``teacher_zero_shot``, ``student_zero_shot_before``, ``student_zero_shot_after`` (top-1 in per cent on
        images that neither was trained on), ``teacher_zero_shot_miou``, ``student_zero_shot_miou`` (segmentation by
        names, in per cent, the ground counted as a class), ``detector_ap_random``, ``detector_ap_lgd`` (COCO's box AP
        in per cent), ``segmentor_miou_random``, ``segmentor_miou_lgd`` (likewise) and ``seconds``.
    """
    refuse_substitution({'--work-dir': str(root)})
    started = time.time()
    print('1. Render a small world of named objects.', flush=True)
    world = write_demo_world(root / 'world')
    print('2. Train a tiny open_clip model on its captions. It stands in for CLIP: no download.', flush=True)
    train_teacher(world, root / 'teacher', seed)

    print('3. Distil a small ResNet from it, guided by the class names. No labels.', flush=True)
    cfg = Config.fromfile(place_of('configs') / CONFIG)
    cfg.data_root = str(root / 'world')
    cfg.model.teacher.model = f'local-dir:{root}/teacher'
    cfg.work_dir = str(root / 'student')
    fill_in(cfg)
    cfg.randomness = dict(seed=seed)
    cfg.log_level = 'ERROR'  # as the downstream tasks: mmengine warns of its own old interfaces
    runner = Runner.from_cfg(cfg)
    runner.register_hook(PrintAccuracy())
    runner.model.init_weights()
    before = runner.val()
    runner.train()

    chance = 100 / len(runner.model.class_names)
    seen = look_at(runner)

    print('4. Segment scenes by names, without one mask in training.', flush=True)
    by_names = {scored: segment_by_names(scored, root) for scored in ('teacher', 'student')}

    print('5. Train a detector and a segmentor, from a random backbone and from the student.', flush=True)
    outcomes = {
        (task, start): fine_tune(task, start, root, seed)
        for task in ('detector', 'segmentor')
        for start in ('random', 'lgd')
    }

    print('6. Draw the results.', flush=True)
    summary = dict(
        teacher_zero_shot=round(before['teacher_accuracy/top1'], 1),
        student_zero_shot_before=round(before['accuracy/top1'], 1),
        student_zero_shot_after=round(runner.message_hub.get_scalar('val/accuracy/top1').current(), 1),
        **{f'{scored}_zero_shot_miou': round(outcome.metric, 1) for scored, outcome in by_names.items()},
        **{
            f'{task}_{METRIC_NAMES[task]}_{start}': round(outcome.metric, 1)
            for (task, start), outcome in outcomes.items()
        },
    )
    with plt.rc_context(STYLE):
        draw_predictions(root / 'predictions.png', *seen.images)
        draw_similarity(root / 'similarity.png', *seen.similarities)
        draw_names(root / 'names.png', by_names['teacher'], by_names['student'])
        draw_detections(root / 'detections.png', outcomes['detector', 'random'], outcomes['detector', 'lgd'])
        draw_segmentations(root / 'segmentations.png', outcomes['segmentor', 'random'], outcomes['segmentor', 'lgd'])
    summary['seconds'] = round(time.time() - started)
    (root / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    _print_table(summary, root, chance)
    return summary


def _print_table(summary: dict, root: Path, chance: float) -> None:
    ap, miou = ([summary[f'{key}_{start}'] for start in ('random', 'lgd')] for key in ('detector_ap', 'segmentor_miou'))
    print(f"""
    zero-shot top-1 on {root}/world/objects/val
    -------------------------------------------------------------
    teacher                  {summary['teacher_zero_shot']:6.1f} %
    student, before          {summary['student_zero_shot_before']:6.1f} %   (chance: {chance:.1f} %)
    student, after           {summary['student_zero_shot_after']:6.1f} %

    masks by names, without one mask in training: mIoU
    -------------------------------------------------------------
    teacher                  {summary['teacher_zero_shot_miou']:6.1f} %
    student                  {summary['student_zero_shot_miou']:6.1f} %

    fine-tuned on scenes, same budget     from random    from LGD
    -------------------------------------------------------------
    detector, box AP                        {ap[0]:6.1f} %   {ap[1]:6.1f} %
    segmentor, mIoU                         {miou[0]:6.1f} %   {miou[1]:6.1f} %
    -------------------------------------------------------------
    {summary['seconds']} s

Look at predictions.png, names.png, detections.png, segmentations.png, similarity.png and student/curves.png in {root};
the figures are in summary.json.
Next, your own images: README.md, "Pre-train on your own folder".""")
