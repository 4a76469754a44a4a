"""The demo from end to end on a world of a few images: its summary, its figures, and what a second run reuses."""

import json
import logging
import runpy
import warnings
from functools import partial

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image
from safetensors.torch import load_file

from mmlgd.demo import downstream, run, teacher, write_demo_world
from tests import ROOT


class ShortConfig:
    """Two steps of fine-tuning are enough to see that everything fits."""

    @staticmethod
    def fromfile(path):
        cfg = Config.fromfile(path)
        cfg.train_cfg.update(dict(max_iters=2) if 'max_iters' in cfg.train_cfg else dict(max_epochs=1))
        cfg.train_cfg.val_interval = cfg.train_cfg.get('max_iters', 1)
        return cfg


@pytest.fixture
def demo(monkeypatch):
    small = partial(write_demo_world, num_objects=(64, 20), num_scenes=(10, 10))
    monkeypatch.setattr(run, 'write_demo_world', small)
    monkeypatch.setattr(teacher, 'EPOCHS', 1)
    monkeypatch.setattr(downstream, 'Config', ShortConfig)
    yield run.run_demo
    DefaultScope._instance_dict.clear()


def test_the_demo_writes_its_summary_and_figures_and_reuses_its_teacher(demo, tmp_path, capsys):
    summary = demo(tmp_path, seed=0)
    assert json.loads((tmp_path / 'summary.json').read_text()) == summary
    dense = {'detector_ap_random', 'detector_ap_lgd', 'segmentor_miou_random', 'segmentor_miou_lgd'}
    zero_shot = {'teacher_zero_shot', 'student_zero_shot_before', 'student_zero_shot_after'}
    by_names = {'teacher_zero_shot_miou', 'student_zero_shot_miou'}
    assert set(summary) == {*zero_shot, *by_names, *dense, 'seconds'}
    assert all(0 <= summary[key] <= 100 for key in summary if key != 'seconds')
    for name in ('predictions', 'names', 'similarity', 'detections', 'segmentations'):
        assert min(Image.open(tmp_path / f'{name}.png').size) > 300
    assert (tmp_path / 'student/curves.png').is_file()
    printed = capsys.readouterr().out
    assert 'stands in for CLIP' in printed and 'predictions.png' in printed

    teacher.train_teacher(tmp_path / 'world', tmp_path / 'teacher')
    assert 'up to date' in capsys.readouterr().out


@pytest.mark.parametrize('asked', [None, '2'])
def test_the_script_takes_one_thread_unless_told_otherwise(monkeypatch, asked):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    if asked:
        monkeypatch.setenv('OMP_NUM_THREADS', asked)
    threads = []
    monkeypatch.setattr(torch, 'set_num_threads', threads.append)
    monkeypatch.setattr(run, 'run_demo', lambda work_dir, seed: None)
    monkeypatch.setattr('sys.argv', ['demo'])
    monkeypatch.setattr(logging.getLogger(), 'setLevel', lambda level: None)  # of the whole process
    with warnings.catch_warnings():
        runpy.run_path(str(ROOT / 'tools/demo'), run_name='__main__')
    assert threads == ([] if asked else [1])


def test_a_teacher_does_not_start_from_the_one_of_another_seed(demo, tmp_path):
    train = teacher.train_teacher
    world = run.write_demo_world(tmp_path / 'world')
    fresh, again = tmp_path / 'fresh', tmp_path / 'again'
    train(world, fresh, seed=1)
    train(world, again, seed=0)
    first = (again / 'open_clip_model.safetensors').read_bytes()
    train(world, again, seed=1)
    fresh, again = (load_file(folder / 'open_clip_model.safetensors') for folder in (fresh, again))
    assert first != (tmp_path / 'again/open_clip_model.safetensors').read_bytes()
    assert all(torch.allclose(fresh[key], again[key], atol=1e-3) for key in fresh)
