"""Every pre-training config parses, says what its name says, builds, and makes a step on real image files."""

import ast
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmpretrain.registry import DATASETS

from mmlgd.datasets import pipeline_of
from mmlgd.models.zero_shot import IMAGENET_RGB
from mmlgd.registry import MODELS
from tests import ROOT
from tests.our_configs import config_of

CONFIGS = ROOT / 'configs'
PRETRAINING = sorted([*(CONFIGS / 'lgd').glob('*.py'), *(CONFIGS / 'seed').glob('*.py')])
SMALL = sorted(
    [
        *(CONFIGS / 'small').glob('lgd_*.py'),
        *(CONFIGS / 'small').glob('dense_*.py'),
        *(CONFIGS / 'small/baselines').glob('*.py'),
        *(CONFIGS / 'demo').glob('lgd_*.py'),
    ]
)
NAME = re.compile(
    r'(?:lgd|dense|seed)_(resnet18|mobilenetv2)_(\d+)xb(\d+)-coslr-(\d+)e_([a-z0-9-]+)(_text-([a-z0-9-]+)|_conse|_batched|_vit-b-16)?'
)
TEXT = {'in1k': 'in1k', 'caltech256': 'caltech256', 'coco': 'coco', 'images': 'in1k'}


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
    cfg = config_of(path)
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
def test_a_config_makes_a_step(path, tiny_clip, images):
    cfg = config_of(path)
    # The teacher and its text are small here; all else is the config's.
    cfg.model.teacher = dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip)
    cfg.model.text.templates = 'plain'
    cfg.model.compile = False  # takes a minute for each
    if cfg.model.text.vocabulary is None:
        cfg.model.text.vocabulary = ['cat', 'dog', 'tree']
    dataset = cfg.train_dataloader.dataset
    dataset.update(data_root=str(images), data_prefix='', ann_file='', with_label=False)
    data = DATASETS.build(dataset)
    assert len(data) == 12  # sub-folders are searched
    model = MODELS.build(cfg.model).train()
    batch = model.data_preprocessor(default_collate([data[0], data[1]]), training=True)
    size = 96 if 'tiny-imagenet' in path.stem else 224
    assert batch['inputs'].shape == (2, 3, size, size)
    losses = model(**batch, mode='loss')
    assert all(torch.isfinite(value) for value in losses.values())


@pytest.mark.parametrize('path', [*PRETRAINING, *SMALL], ids=lambda p: p.stem)
def test_a_config_says_what_becomes_of_bad_images(path):
    cfg = config_of(path)
    dataset = cfg.train_dataloader.dataset
    assert (dataset.type, dataset.bad_images, dataset.max_bad_images) == ('mmlgd.Images', 'skip', 0.01)
    assert pipeline_of(dataset)[0]['type'] == 'mmlgd.LoadImageFromFile'
    assert cfg.default_hooks.bad_images.type == 'mmlgd.BadImagesHook'
    for phase in ('val', 'test'):
        if loader := cfg.get(f'{phase}_dataloader'):  # evaluation stops at the first
            assert loader.dataset.pipeline[0].type == 'mmlgd.LoadImageFromFile'
            assert 'bad_images' not in loader.dataset


@pytest.mark.parametrize('student', ['resnet18', 'mobilenetv2'])
def test_seed_differs_from_lgd_by_its_queue_alone(student):
    ours, theirs = (
        config_of(CONFIGS / f'{name}/{name}_{student}_8xb256-coslr-200e_in1k.py') for name in ('lgd', 'seed')
    )
    assert theirs.model.pop('queue') == dict(type='mmlgd.QueueBank', size=65536)
    (term,), loss = theirs.model.pop('loss').terms, ours.model.pop('loss')
    temperatures = {key: loss[key] for key in ('student_temperature', 'teacher_temperature')}
    assert term == dict(bank='queue', self_logit=True, **temperatures)
    assert theirs.to_dict() == ours.to_dict()


@pytest.mark.parametrize('path', sorted((CONFIGS / 'lgd').glob('dense_*.py')), ids=lambda p: p.stem)
def test_a_dense_recipe_is_the_recipe_and_its_terms_on_places_at_twice_the_weight(path):
    plain = path.stem.removesuffix('_vit-b-16').replace('dense_', 'lgd_')
    ours, theirs = config_of(path), config_of(path.with_name(f'{plain}.py'))
    assert ours.model.teacher.pop('model') == ('ViT-B-16' if path.stem.endswith('vit-b-16') else 'RN50')
    theirs.model.teacher.pop('model')
    preset, listed = MODELS.build(theirs.model.pop('loss')), MODELS.build(ours.model.pop('loss'))
    assert [repr(term) for term in listed.terms[:2]] == [repr(term) for term in preset.terms[:2]]
    names, latest = listed.terms[2:]
    for term in preset.terms[1:]:
        term.weight *= 2
    assert repr(names) == repr(preset.terms[1]).replace('loss_', 'loss_place_').replace('on=image', 'on=1024 places')
    assert repr(latest) == repr(preset.terms[2]).replace('queue', 'place_queue').replace('on=image', 'on=1024 places')
    a_step = latest.places * int(re.search(r'_(\d+)xb256', path.stem)[1])  # of all processes
    assert ours.model.pop('place_queue') == dict(type='mmlgd.QueueBank', size=8 * a_step)
    ours.pop('dense')
    assert ours.to_dict() == theirs.to_dict()


@pytest.mark.parametrize('path', PRETRAINING, ids=lambda p: p.stem)
def test_a_config_says_its_view_and_its_size_once(path):
    cfg = config_of(path)
    dataset = cfg.train_dataloader.dataset
    augments = 'augmentation' in cfg.model.data_preprocessor
    assert augments == path.stem.endswith('_batched')
    assert dataset.view == ('moco-v2-crop' if augments else 'moco-v2') and 'pipeline' not in dataset
    assert (dataset.size, dataset.crop) == (96 if 'tiny-imagenet' in path.stem else 224, (0.2, 1.0))


EVERY = sorted(CONFIGS.rglob('*.py'))


def test_no_config_depends_on_the_machine_that_reads_it():
    """No import, no call but of plain types, no template of mmengine's, no list by position."""
    for path in EVERY:
        text = path.read_text()
        assert '{{' not in text, path
        for node in ast.walk(ast.parse(text)):
            assert not isinstance(node, (ast.Import, ast.ImportFrom)), path
            if isinstance(node, ast.Call):
                assert getattr(node.func, 'id', None) in ('dict', 'len', 'list', 'range', 'tuple'), path
            if isinstance(node, (ast.Assign, ast.AugAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                assert not any(isinstance(target, (ast.Subscript, ast.Attribute)) for target in targets), path


def test_the_statistics_of_imagenet_stand_once():
    named = [path for path in EVERY if '123.675' in path.read_text() and not path.stem.startswith('knn')]
    assert [path.relative_to(CONFIGS).as_posix() for path in named] == ['_base_/imagenet_statistics.py']
    statistics = config_of(named[0]).imagenet_statistics
    assert {key: IMAGENET_RGB[key] for key in statistics} == statistics


def test_class_names_fit_the_evaluation_sets():
    cfg = config_of(CONFIGS / 'lgd/lgd_resnet18_8xb256-coslr-90e_in1k.py')
    dataset = DATASETS.get(cfg.val_dataloader.dataset.type)
    assert len(dataset.METAINFO['classes']) == 1000


def test_hooks_of_a_users_own_take_no_check_away(tmp_path):
    (tmp_path / 'mine.py').write_text(
        f"_base_ = r'{PRETRAINING[0]}'\ncustom_hooks = [dict(type='mmlgd.EMAHook', momentum=0.001)]\n"
    )
    kinds = {hook.type for hook in Config.fromfile(tmp_path / 'mine.py').default_hooks.values()}
    checks = ('VocabularyCheck', 'StepsCheck', 'FiniteCheck', 'BankHealth', 'Curves', 'Progress', 'Summary')
    assert kinds >= {f'mmlgd.{name}Hook' for name in checks}
