"""The benchmark of the image pipelines runs on a few images."""

import json

import cv2
import pytest
import torch
from mmengine.registry import DefaultScope, init_default_scope

from tests.scripts import script


@pytest.fixture
def pipeline():
    module = script('benchmarks/pipeline')
    threads, before = (torch.get_num_threads(), cv2.getNumThreads()), DefaultScope.get_current_instance()
    yield module
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])
    if before is not None:
        init_default_scope(before.scope_name)


def test_it_times_every_way(pipeline, images, tmp_path, capsys):
    out = tmp_path / 'figures' / 'pipeline.json'
    arguments = ['--images', str(images), '--batch', '4', '--rounds', '2', '--warmup', '0', '--device', 'cpu']
    pipeline.main([*arguments, '--json', str(out)])
    printed = capsys.readouterr().out
    assert '| published: torchvision on Pillow |' in printed and 'one thread' in printed
    figures = json.loads(out.read_text())
    assert figures['environment']['threads'] == 1 and figures['batch'] == 4
    names = list(figures['seconds'])
    assert [name.split(':')[0] for name in names] == ['published', 'default', 'batched', 'batched']
    assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in figures['seconds'].values())


def test_the_published_view(pipeline, images):
    torch.manual_seed(0)
    view = pipeline.published_pipeline()(images / 'class0' / '0.png')
    assert view.shape == (3, 224, 224) and view.dtype == torch.float32
    assert -2.2 < view.min() and view.max() < 2.7  # normalised


def test_wrong_folders(pipeline, tmp_path, capsys):
    with pytest.raises(SystemExit):
        pipeline.main(['--images', str(tmp_path / 'nowhere')])
    assert 'expects a folder' in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match=r'no file that ends with \.jpg'):
        pipeline.main(['--images', str(tmp_path)])
