"""The configs that keep a teacher on: the plain config, and a step that has the teacher's terms."""

import pytest
from mmengine.registry import init_default_scope

from mmlgd.checkpoints.starts import start_from
from mmlgd.datasets.variables import fill_in
from mmlgd.models.guided import unguided
from mmlgd.registry import MODELS
from tests import ROOT
from tests.our_configs import config_of

from .test_benchmark_configs import class_names, losses_of

GUIDED = sorted((ROOT / 'configs/benchmarks/guided').glob('*.py'))
BASES = {'retinanet': 'mmdet', 'rtmdet-tiny': 'mmdet', 'segformer': 'mmseg'}


def test_there_is_one_for_each_kind():
    assert {path.stem.split('_')[0] for path in GUIDED} == set(BASES)


@pytest.mark.parametrize('path', GUIDED, ids=lambda path: path.stem)
def test_a_config_builds_and_takes_a_step(path, tiny_clip):
    library = BASES[path.stem.split('_')[0]]
    pytest.importorskip(library)
    config = config_of(path)
    fill_in(config)
    plain = config_of(ROOT / f'configs/benchmarks/{library}' / f'{path.stem.removesuffix("_vit-b-16")}.py')
    fill_in(plain)
    assert unguided(config.model) == plain.model
    for key in ('optim_wrapper', 'param_scheduler', 'train_cfg', 'train_dataloader', 'val_evaluator'):
        assert config[key] == plain[key]
    assert {**plain.default_hooks, **config.guide_hooks} == config.default_hooks
    assert 'mmlgd' in config.custom_imports.imports

    init_default_scope(config.default_scope)
    start_from(config, 'none')
    config.model.guide.teacher = dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip)
    config.model.guide.text = dict(templates='plain')
    model = MODELS.build(config.model).train()
    names = class_names(config)
    model.guide.name(names)
    assert len(model.guide.class_names) == len(names)
    seen = []
    model.guide.register_forward_hook(lambda module, args, losses: seen.append(losses))
    losses_of(model, library, len(names)).backward()
    assert {'guide.loss_place_cosine', 'guide.loss_place_textual', 'guide.weight'} == set(seen[0])
    assert all(p.grad is not None for p in model.guide.parameters())
