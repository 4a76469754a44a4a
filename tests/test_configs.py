"""Every pre-training config parses, says what its name says, builds, and makes a step on real picture files."""

import re

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmpretrain.registry import DATASETS

from mmlgd.registry import MODELS
from tests import ROOT

CONFIGS = ROOT / 'configs'
PRETRAINING = sorted([*(CONFIGS / 'lgd').glob('*.py'), *(CONFIGS / 'seed').glob('*.py')])
SMALL = sorted(
    [
        *(CONFIGS / 'small').glob('lgd_*.py'),
        *(CONFIGS / 'small/baselines').glob('*.py'),
        *(CONFIGS / 'demo').glob('lgd_*.py'),
    ]
)
NAME = re.compile(
    r'(?:lgd|seed)_(resnet18|mobilenetv2)_(\d+)xb(\d+)-coslr-(\d+)e_([a-z0-9-]+)(_text-([a-z0-9-]+)|_conse|_batched)?'
)
TEXT = {'in1k': 'in1k', 'caltech256': 'caltech256', 'coco': 'coco', 'pictures': 'in1k'}


pytestmark = pytest.mark.usefixtures('mmpretrain_scope')


def test_there_are_the_published_recipes():
    names = {path.stem for path in PRETRAINING}
    for student in ('resnet18', 'mobilenetv2'):
        prefix = f'lgd_{student}_8xb256-coslr'
        expected = {f'{prefix}-200e_in1k', f'{prefix}-90e_in1k', f'{prefix}-90e_caltech256', f'{prefix}-90e_coco'}
        for text in ('coco', 'lvis-v1', 'cityscapes', 'ade20k', 'caltech256'):
            expected.add(f'{prefix}-90e_in1k_text-{text}')
        assert expected <= names


@pytest.mark.parametrize('path', PRETRAINING, ids=lambda p: p.stem)
def test_a_config_is_what_its_name_says(path):
    student, cards, batch, epochs, data, _, text = NAME.fullmatch(path.stem).groups()
    cfg = Config.fromfile(path)
    assert cfg.model.backbone.type == dict(resnet18='mmpretrain.ResNet', mobilenetv2='mmpretrain.MobileNetV2')[student]
    assert student != 'resnet18' or cfg.model.backbone.zero_init_residual is False  # torchvision's, as published
    assert cfg.train_dataloader.batch_size == int(batch)
    assert cfg.auto_scale_lr.base_batch_size == int(cards) * int(batch)
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[-1].end == int(epochs)
    assert cfg.param_scheduler[0].end + cfg.param_scheduler[1].T_max == int(epochs)
    if data != 'tiny-imagenet':
        assert cfg.model.text.vocabulary == text or TEXT[data] == cfg.model.text.vocabulary
        assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.03 * int(cards) * int(batch) / 256)  # as published


@pytest.mark.parametrize('path', PRETRAINING, ids=lambda p: p.stem)
def test_a_config_makes_a_step(path, tiny_clip, pictures):
    cfg = Config.fromfile(path)
    # The teacher and its text are small here; all else is the config's.
    cfg.model.teacher = dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip)
    cfg.model.text.templates = 'plain'
    cfg.model.compile = False  # takes a minute for each
    if 'classes.txt' in cfg.model.text.vocabulary:
        cfg.model.text.vocabulary = ['cat', 'dog', 'tree']
    dataset = cfg.train_dataloader.dataset
    dataset.update(data_root=str(pictures), data_prefix='', ann_file='', with_label=False)
    data = DATASETS.build(dataset)
    assert len(data) == 12  # sub-folders are searched
    model = MODELS.build(cfg.model).train()
    batch = model.data_preprocessor(default_collate([data[0], data[1]]), training=True)
    size = 96 if 'tiny-imagenet' in path.stem else 224
    assert batch['inputs'].shape == (2, 3, size, size)
    losses = model(**batch, mode='loss')
    assert all(torch.isfinite(value) for value in losses.values())


@pytest.mark.parametrize('path', [*PRETRAINING, *SMALL], ids=lambda p: p.stem)
def test_a_config_says_what_becomes_of_bad_pictures(path, tmp_path, monkeypatch):
    (tmp_path / 'classes.txt').write_text('n01\tcat\nn02\tdog\n')  # read by a config that counts them
    monkeypatch.setenv('TINY_IMAGENET', str(tmp_path))
    cfg = Config.fromfile(path)
    dataset = cfg.train_dataloader.dataset
    assert (dataset.type, dataset.bad_pictures, dataset.max_bad_pictures) == ('mmlgd.Pictures', 'skip', 0.01)
    assert dataset.pipeline[0].type == 'mmlgd.LoadImageFromFile'
    assert cfg.default_hooks.bad_pictures.type == 'mmlgd.BadPicturesHook'
    for phase in ('val', 'test'):
        if loader := cfg.get(f'{phase}_dataloader'):  # evaluation stops at the first
            assert loader.dataset.pipeline[0].type == 'mmlgd.LoadImageFromFile'
            assert 'bad_pictures' not in loader.dataset


@pytest.mark.parametrize('student', ['resnet18', 'mobilenetv2'])
def test_seed_differs_from_lgd_by_its_queue_alone(student):
    ours, theirs = (
        Config.fromfile(CONFIGS / f'{name}/{name}_{student}_8xb256-coslr-200e_in1k.py') for name in ('lgd', 'seed')
    )
    assert theirs.model.pop('queue') == dict(type='mmlgd.QueueBank', size=65536)
    (term,), loss = theirs.model.pop('loss').terms, ours.model.pop('loss')
    temperatures = {key: loss[key] for key in ('student_temperature', 'teacher_temperature')}
    assert term == dict(bank='queue', self_logit=True, **temperatures)
    assert theirs.to_dict() == ours.to_dict()


@pytest.mark.parametrize('path', PRETRAINING, ids=lambda p: p.stem)
def test_every_config_has_both_pipelines(path):
    """Two lines switch a config from one to the other: their crops have to be the same."""
    cfg = Config.fromfile(path)
    crop, batched = cfg.train_pipeline[2], cfg.batched_pipeline[1]
    assert (batched.scale, batched.crop_ratio_range) == (crop.size, crop.scale)
    augments = 'augmentation' in cfg.model.data_preprocessor
    assert augments == path.stem.endswith('_batched')
    assert cfg.train_dataloader.dataset.pipeline == (cfg.batched_pipeline if augments else cfg.train_pipeline)


def test_class_names_fit_the_evaluation_sets():
    cfg = Config.fromfile(CONFIGS / 'lgd/lgd_resnet18_8xb256-coslr-90e_in1k.py')
    dataset = DATASETS.get(cfg.val_dataloader.dataset.type)
    assert len(dataset.METAINFO['classes']) == 1000


def test_hooks_of_a_users_own_take_no_check_away(tmp_path):
    (tmp_path / 'mine.py').write_text(
        f"_base_ = r'{PRETRAINING[0]}'\ncustom_hooks = [dict(type='mmlgd.EMAHook', momentum=0.001)]\n"
    )
    kinds = {hook.type for hook in Config.fromfile(tmp_path / 'mine.py').default_hooks.values()}
    checks = ('VocabularyCheck', 'StepsCheck', 'FiniteCheck', 'BankHealth', 'Curves', 'Progress', 'Summary')
    assert kinds >= {f'mmlgd.{name}Hook' for name in checks}
