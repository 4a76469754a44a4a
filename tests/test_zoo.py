"""Published weights are what their names and their entries in the index say."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import mmlgd
from mmlgd.demo import DEMO_CLASSES, render_object
from tests import ROOT

INDEX = yaml.safe_load((ROOT / 'configs/lgd/metafile.yml').read_text(encoding='utf-8'))['Models']
PUBLISHED = [model for model in INDEX if model.get('Weights') and '://' not in model['Weights']]


@pytest.mark.parametrize('model', PUBLISHED, ids=lambda model: model['Name'])
def test_a_published_file_is_whole_and_ours(model):
    path = ROOT / model['Weights']
    name, _, stamp = path.stem.rpartition('_')
    assert name == model['Name'] == Path(model['Config']).stem
    assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(stamp.split('-')[1])
    content = torch.load(path, weights_only=True)
    assert set(content) == {'meta', 'state_dict'}
    student = mmlgd.get_student(path)
    assert sum(value.numel() for value in student.state_dict().values()) > 1000


def test_the_demo_student_names_images_that_it_has_not_seen():
    (model,) = (model for model in PUBLISHED if model['Name'] == 'lgd_resnet18-tiny_demo')
    inferencer = mmlgd.ZeroShotInferencer(ROOT / model['Weights'], device='cpu')
    assert tuple(inferencer.classes) == DEMO_CLASSES
    images, labels, *_ = zip(*(render_object(0, 'val', index) for index in range(100)))
    results = inferencer([np.ascontiguousarray(image[..., ::-1]) for image in images])  # to BGR
    right = np.mean([result['pred_label'] == label for result, label in zip(results, labels)])
    assert right > 0.9  # 95.8 % of all 500
