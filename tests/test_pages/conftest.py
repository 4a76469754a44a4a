"""Folders as our commands leave them, without a training."""

import json
import re
import shutil

import pytest
import torch

from tests.words import change_words

START = '20260101_120000'
HEAD = """2026/01/01 12:00:00 - mmengine - INFO -
System environment:
    Python: 3.11.7
    GPU 0,1: {device}
    PyTorch: 2.9.1
    MMEngine: 0.10.7
Runtime environment:
    GPU number: 2
"""


def log_lines():
    """Three epochs of ten steps, logged each fifth; agreement rises to 61."""
    for step in range(5, 31, 5):
        epoch = (step - 1) // 10 + 1
        figures = dict(loss=4 - step / 10, loss_textual=3 - step / 10, loss_queue=0.0, time=0.5, data_time=0.1)
        yield dict(figures, agreement=31 + step, effective_classes=4.0, teacher_effective_classes=4.5, iter=step,
                   epoch=epoch, step=step)  # fmt: skip
        if step % 10 == 0:
            yield {'bank/visited': 0.8, 'bank/prototype_entropy': 0.2, 'iter': step, 'epoch': epoch, 'step': step}


@pytest.fixture
def work_dir(tmp_path, lgd_checkpoint):
    """Write a work dir of pre-training: as it is, or with names and a folder of images of one's own."""

    def write(name='run', names=None, images='/nowhere/images', device='NVIDIA H100', places=False):
        folder = tmp_path / name
        data = folder / START / 'vis_data'
        data.mkdir(parents=True)
        content = torch.load(lgd_checkpoint, weights_only=True)
        content['meta'].update(epoch=3, iter=30, mmlgd_version='9.9.9')
        config = content['meta']['cfg'] + f'\ntrain_dataloader = dict(batch_size=4, dataset={_dataset(images)})\n'
        if places:
            config = re.sub(r'\bmodel ?= ?dict\(', f'model = dict(loss={_PLACES}, ', config, count=1)
        content['meta']['cfg'] = config
        if names:
            change_words(content, class_names=names)
        torch.save(content, folder / 'epoch_3.pth')
        (folder / 'last_checkpoint').write_text(str(folder / 'epoch_3.pth'))
        (folder / 'mine.py').write_text(config)
        (data / 'config.py').write_text(config)
        (data / 'scalars.json').write_text('\n'.join(map(json.dumps, log_lines())))
        (folder / START / f'{START}.log').write_text(HEAD.format(device=device))
        return folder

    return write


_PLACES = "dict(type='mmlgd.DistillationLoss', terms=[dict(bank='text'), dict(bank='text', on='places')])"


def _dataset(images):
    return f'dict(type="mmlgd.Images", data_root={str(images)!r}, size=64)'


def row(zero_shot, knn, source='a.pth'):
    linear = {'10%': {'0': knn + 1, '1': knn + 3}}
    return dict(source=source, zero_shot=zero_shot, synonyms=None, own_head=None, knn=knn, linear=linear)


@pytest.fixture
def evaluated(tmp_path):
    def write(name='evaluated', student='student', data='/my/data'):
        results = {student: row(52.0, 48.0), 'teacher': row(64.0, 63.0, 'teacher'), 'random': row(None, 12.0, 'none')}
        told = dict(data=data, images=dict(train=90, val=1000), names=['cat', 'dog'], k=20, notes=[], results=results)
        (tmp_path / name).mkdir()
        (tmp_path / name / 'table.json').write_text(json.dumps(told))
        return tmp_path / name

    return write


@pytest.fixture
def compared(tmp_path):
    def write(values, name='compared', metric='coco/bbox_mAP'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'table.json').write_text(json.dumps(values))
        (tmp_path / name / 'table.md').write_text(f'| start | seed 0 | {metric}, mean ± spread |\n')
        return tmp_path / name

    return write


@pytest.fixture
def proven(tmp_path):
    """As ``mmlgd prove`` writes it: shares and seeds are keys of JSON."""

    def write(name='proven', verdict='lgd is +5 ± 0 AP over random.'):
        figures = dict(
            random={'10.0': {'0': 10.0, '1': 12.0}, '100.0': {'0': 19.0, '1': 21.0}},
            lgd={'10.0': {'0': 14.0, '1': 16.0}, '100.0': {'0': 24.0, '1': 26.0}},
        )
        seconds = {start: {share: {'0': 60.0, '1': None} for share in own} for start, own in figures.items()}
        told = dict(verdict=[verdict], notes=['a note'], config='c.py', cfg_options={}, metric='coco/bbox_mAP')
        told.update(starts=dict(random='none', lgd='a.pth'), unit='AP', figures=figures, seconds=seconds, gains={})
        (tmp_path / name).mkdir()
        (tmp_path / name / 'table.json').write_text(json.dumps(told))
        return tmp_path / name

    return write


@pytest.fixture
def studied(tmp_path):
    runs = dict(lgd={'0': row(40.0, 45.0), '1': row(42.0, 46.0)}, seed={'0': row(30.0, 40.0), '1': row(31.0, 41.0)})
    told = dict(data='d', store=None, variants=dict(lgd=dict(config='a.py', options=[])), runs=runs)
    folder = tmp_path / 'studied'
    folder.mkdir()
    (folder / 'study.json').write_text(json.dumps(told))
    return folder


@pytest.fixture
def labelled(tmp_path, images):
    """Images in a class folder for each of the five names of the checkpoint."""
    files = sorted(images.rglob('*.png'))
    for k, file in enumerate(files[:10]):
        target = tmp_path / 'labelled' / f'{k % 5}' / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return tmp_path / 'labelled'
