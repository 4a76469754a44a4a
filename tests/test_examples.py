"""The examples run, each on a world of a few images."""

import importlib.util

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

from tests import ROOT

FOLDER = ROOT / 'examples'

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER.is_dir(), reason='the examples lie in the source tree only'),
]


@pytest.fixture(autouse=True)
def surroundings():
    yield
    DefaultScope._instance_dict.clear()


def example(name):
    spec = importlib.util.spec_from_file_location(f'example_{name}', FOLDER / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_classification_names_most_images(tmp_path, capsys):
    assert example('classification').main(tmp_path, images=50) > 0.8
    assert 'images are right' in capsys.readouterr().out
    assert len(list((tmp_path / 'shown').glob('*.png'))) == 50


def test_detection_starts_from_the_student(tmp_path, monkeypatch):
    pytest.importorskip('mmdet')
    detection, read = example('detection'), Config.fromfile

    def in_small_batches(path):
        cfg = read(path)
        cfg.train_dataloader.batch_size = 2
        return cfg

    monkeypatch.setattr(Config, 'fromfile', in_small_batches)
    metrics = detection.main(tmp_path, str(detection.STUDENT), scenes=10, iterations=51)
    assert all(0 <= value <= 1 for key, value in metrics.items() if key.startswith('coco/') and value >= 0)
    assert (tmp_path / 'run' / 'iter_51.pth').is_file()


@pytest.mark.exhaustive  # two trainings
def test_segmentation_starts_from_the_student_and_from_nothing(tmp_path):
    pytest.importorskip('mmseg')
    segmentation = example('segmentation')
    for student in (str(segmentation.STUDENT), 'none'):
        assert 0 <= segmentation.main(tmp_path, student, scenes=10, iterations=51)['mIoU'] <= 100
    assert (tmp_path / 'run' / 'iter_51.pth').is_file()
