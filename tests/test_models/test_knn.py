"""Nearest neighbours vote as a plain loop and scikit-learn say, on a memory made from pictures."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import Runner
from PIL import Image

import mmlgd
from mmlgd import KNNClassifier
from mmlgd.checkpoints import CheckpointError, read_checkpoint
from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS

RUN = itertools.count()
SMALL = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8)


def unit(n, d, seed):
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=-1)


def voters(k, classes=4):
    model = KNNClassifier(SMALL, memory=dict(), num_classes=classes, k=k)
    labels = torch.randint(0, classes, (60,), generator=torch.Generator().manual_seed(2))
    model.remember(unit(60, 8, 0), labels)
    return model


@pytest.mark.parametrize('k', [1, 7, 60])
def test_votes_are_those_of_a_loop(k):
    model, queries = voters(k), unit(5, 8, 1)
    scores = model.vote(queries)
    for query, score in zip(queries, scores):
        cosines = sorted(((float(query @ row), int(label)) for row, label in zip(model.features, model.labels)))[-k:]
        votes = [sum(math.exp(cosine / 0.07) for cosine, label in cosines if label == c) for c in range(4)]
        torch.testing.assert_close(score, torch.tensor(votes) / sum(votes))


def test_votes_are_those_of_scikit_learn():
    neighbors = pytest.importorskip('sklearn.neighbors')
    model, queries = voters(k=9), unit(40, 8, 3)
    reference = neighbors.KNeighborsClassifier(9, metric='cosine', weights=lambda d: np.exp((1 - d) / 0.07))
    reference.fit(model.features.numpy(), model.labels.numpy())
    np.testing.assert_allclose(model.vote(queries).numpy(), reference.predict_proba(queries.numpy()), atol=1e-5)


def test_a_memory_that_cannot_serve_is_refused():
    with pytest.raises(ValueError, match='3 pictures, fewer than k=5'):
        KNNClassifier(SMALL, memory=dict(), num_classes=2, k=5).remember(unit(3, 8, 0), torch.zeros(3).long())
    with pytest.raises(ValueError, match='label 4, but num_classes=2'):
        KNNClassifier(SMALL, memory=dict(), num_classes=2, k=1).remember(unit(3, 8, 0), torch.tensor([0, 1, 4]))


def test_there_is_nothing_to_train():
    with pytest.raises(ValueError, match='nothing to train'):
        voters(1)(torch.rand(1, 3, 32, 32), mode='loss')


@pytest.fixture
def colours(tmp_path):
    """Two classes that any features tell apart, in train/ and val/: dark and bright, or with stripes."""
    rng = np.random.default_rng(0)
    for part, count in (('train', 5), ('val', 3)):
        for name, base in (('dark', 40), ('striped', 0)):
            (tmp_path / part / name).mkdir(parents=True)
            for k in range(count):
                picture = np.full((32, 32, 3), base) + rng.integers(0, 20, (32, 32, 3))
                if name == 'striped':
                    picture[::4] += 200
                Image.fromarray(picture.astype(np.uint8)).save(tmp_path / part / name / f'{k}.png')
    return tmp_path


def loader(root, part):
    pipeline = [dict(type='LoadImageFromFile'), dict(type='mmpretrain.PackInputs')]
    return dict(
        batch_size=4,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='mmlgd.default_collate'),
        dataset=dict(type='mmpretrain.CustomDataset', data_root=str(root), data_prefix=part, pipeline=pipeline),
    )


def settings(root, **init_cfg):
    model = dict(
        type='mmlgd.KNNClassifier',
        backbone={**SMALL, 'init_cfg': init_cfg or None},
        memory=loader(root, 'train'),
        num_classes=2,
        k=3,
    )
    return Config(
        dict(
            default_scope='mmpretrain',
            custom_imports=dict(imports=['mmlgd']),
            model=model,
            work_dir=str(root / 'work'),
            experiment_name=f'{root.name}_{next(RUN)}',
            log_level='ERROR',
            default_hooks=dict(visualization=dict(type='mmpretrain.VisualizationHook', enable=False)),
            visualizer=dict(type='mmpretrain.UniversalVisualizer'),
            test_dataloader=loader(root, 'val'),
            test_evaluator=dict(type='mmpretrain.Accuracy'),
            test_cfg=dict(),
        )
    )


@pytest.fixture(autouse=True)
def scope_stays():
    before = DefaultScope.get_current_instance()
    yield
    init_default_scope(before.scope_name if before else 'mmpretrain')


def weights_of(checkpoint):
    state = read_checkpoint(checkpoint)['state_dict']
    return {key[9:]: value for key, value in state.items() if key.startswith('backbone.')}


def assert_student(runner, checkpoint):
    torch.testing.assert_close(dict(runner.model.backbone.state_dict()), weights_of(checkpoint), rtol=0, atol=0)


def test_init_cfg_counts_in_a_run_that_only_tests(colours, lgd_checkpoint):
    runner = Runner.from_cfg(settings(colours, type='Pretrained', checkpoint=str(lgd_checkpoint), prefix='backbone.'))
    assert runner.test() == {'accuracy/top1': 100.0}
    assert_student(runner, lgd_checkpoint)
    assert runner.model.labels.tolist() == [0] * 5 + [1] * 5


def test_no_checkpoint_is_a_random_start(colours):
    runner = Runner.from_cfg(settings(colours, type='Pretrained', checkpoint=None, prefix='backbone.'))
    assert runner.test()['accuracy/top1'] >= 50
    assert runner.model.is_init


def test_a_checkpoint_of_training_is_taken(colours, lgd_checkpoint):
    """As a user does: what the config itself would start from does not matter, then."""
    settings(colours, type='Pretrained', checkpoint='nowhere.pth', prefix='backbone.').dump(colours / 'knn.py')
    metrics = mmlgd.test(colours / 'knn.py', lgd_checkpoint, work_dir=colours / 'run')
    assert metrics == {'accuracy/top1': 100.0}


def test_a_checkpoint_that_does_not_fit_is_refused(colours, lgd_checkpoint):
    state = weights_of(lgd_checkpoint)
    torch.save(dict(state_dict=state), colours / 'bare.pth')
    state.pop('layer4.0.conv1.weight')
    torch.save(dict(state_dict={f'backbone.{key}': value for key, value in state.items()}), colours / 'cut.pth')
    for file, message in (('bare.pth', r'no backbone\.\* weights'), ('cut.pth', '1 missing')):
        cfg = settings(colours)
        cfg.load_from = str(colours / file)
        with pytest.raises(CheckpointError, match=message):
            Runner.from_cfg(cfg).test()
        cfg = settings(colours, type='Pretrained', checkpoint=str(colours / file), prefix='backbone.')
        with pytest.raises(CheckpointError, match=message):
            Runner.from_cfg(cfg).test()


def test_a_picture_that_a_sampler_gave_to_two_ranks_counts_once(colours, monkeypatch):
    model, queries = dict(settings(colours).model), torch.rand(2, 3, 32, 32)
    init_default_scope('mmpretrain')
    model = MODELS.build(model).eval()
    model(queries, mode='predict')
    alone, model.features = model.features, None
    # What remains of three ranks and ten pictures: the sum over ranks holds the padded ones twice.
    monkeypatch.setattr('mmlgd.models.knn.all_reduce', lambda features: features[:2].mul_(2))
    model(queries, mode='predict')
    torch.testing.assert_close(model.features, alone)


def test_a_transformer_without_a_map_votes_too():
    vit = dict(type='mmpretrain.VisionTransformer', arch='deit-tiny', img_size=32, patch_size=16)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    model = KNNClassifier(dict(vit, out_type='cls_token'), memory=dict(), num_classes=2, k=1).eval()
    features = model(x)
    assert features.shape == (2, 192)
    torch.testing.assert_close(features, F.normalize(model.backbone(x)[-1], dim=-1))
    model.backbone.out_type = 'raw'  # all tokens: which of them describes the image?
    with pytest.raises(ConfigError, match=r"gives \(2, 5, 192\) .* expected is .*out_type='cls_token'"):
        model(x)
