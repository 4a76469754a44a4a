"""A config out of a checkpoint makes no model that its weights are too few for; every model that they fit is built."""

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from torch import nn

import mmlgd
from mmlgd.checkpoints import CheckpointError
from mmlgd.student.sized_build import no_larger_than


@pytest.fixture
def guard(monkeypatch):
    """One that has two numbers, and may make a thousand and eight."""
    monkeypatch.setattr('mmlgd.student.sized_build._SLACK', 1000)
    monkeypatch.setattr('mmlgd.student.sized_build._SLACK_OF_STEPS', 50)
    return no_larger_than({'weight': torch.ones(2)}, 'a.pth')


MANY = dict(
    empty=lambda: torch.empty(10**12),
    eye=lambda: torch.eye(10**6),
    floats=lambda: torch.arange(1e12),
    line=lambda: torch.linspace(0, 1, 10**12),
    triangle=lambda: torch.tril_indices(10**6, 10**6),
    broadcast=lambda: torch.ones(500)[:, None] - torch.ones(500),
    repeated=lambda: torch.ones(500).repeat(500, 1),
    interleaved=lambda: torch.ones(500).repeat_interleave(500),
    product=lambda: torch.ones(500, 1) @ torch.ones(1, 500),
    outer=lambda: torch.outer(torch.ones(500), torch.ones(500)),
    joined=lambda: torch.cat([torch.ones(500)] * 500),
    stacked=lambda: torch.stack(torch.meshgrid(torch.arange(500), torch.arange(500), indexing='ij')),
    copied=lambda: torch.ones(1).expand(500, 500).contiguous(),
    resized=lambda: torch.ones(1).resize_(10**12),
    given=lambda: torch.add(torch.ones(500, 1), torch.ones(500), out=torch.empty(0)),
    list=lambda: torch.tensor([1.0] * 5000),
    array=lambda: torch.from_numpy(np.ones(5000)),
    counted=lambda: torch.bincount(torch.tensor([5000])),
    one_by_one=lambda: [torch.empty(100) for _ in range(20)],
    below_zero=lambda: (torch.scalar_tensor(-(10**12)), [torch.empty(100) for _ in range(20)]),
)


@pytest.mark.parametrize('name', MANY)
def test_numbers_are_counted_where_they_are_made(name, guard):
    told = 'a.pth has a config that asks for layers of .* numbers or more, but its weights have 2'
    with pytest.raises(CheckpointError, match=told), guard:
        MANY[name]()


FEW = dict(
    slice=(4, lambda: torch.ones(4)[1:]),
    views=(4, lambda: torch.ones(4).view(2, 2).t()[None].expand(10**6, 2, 2)),
    filled=(2, lambda: torch.ones(2).fill_(10**12)),
    clamped=(4, lambda: torch.ones(2).clamp(0, 10**9)),
    full=(3, lambda: torch.full((3,), torch.iinfo(torch.int64).max)),
    item=(2, lambda: torch.ones(2)[0].item()),
    where=(2 + 2, lambda: torch.ones(2).nonzero()),
    linear=(12, lambda: nn.Linear(3, 3)),
)


@pytest.mark.parametrize('name', FEW)
def test_settings_of_a_step_are_no_numbers(name, guard):
    made, build = FEW[name]
    with guard:
        build()
    assert guard.made == made


def test_layers_are_counted_too(guard):
    """Each takes more memory than its numbers do."""
    told = 'so many layers that they take more than 250 steps, but its weights have 1 tensors'
    with pytest.raises(CheckpointError, match=told), guard:
        [torch.empty(0) for _ in range(1000)]


SMALL = dict(
    beit=dict(
        type='mmpretrain.BEiTViT',
        arch=dict(embed_dims=24, num_layers=1, num_heads=2, feedforward_channels=24),
        img_size=32,
    ),
    shared_beit=dict(
        type='mmpretrain.BEiTViT',
        arch=dict(embed_dims=24, num_layers=1, num_heads=2, feedforward_channels=24),
        img_size=32,
        use_rel_pos_bias=False,
        use_shared_rel_pos_bias=True,
    ),
    swin=dict(
        type='mmpretrain.SwinTransformer', arch=dict(embed_dims=8, depths=[1, 2], num_heads=[1, 2]), out_indices=(1,)
    ),
    swin_v2=dict(
        type='mmpretrain.SwinTransformerV2',
        arch=dict(embed_dims=8, depths=[1, 2], num_heads=[1, 2], extra_norm_every_n_blocks=0),
        out_indices=(1,),
    ),
    timm_swin=dict(
        type='mmpretrain.TIMMBackbone',
        model_name='swin_tiny_patch4_window7_224',
        features_only=False,
        embed_dim=8,
        depths=(1, 2),
        num_heads=(1, 2),
        img_size=224,
    ),
    timm_beit=dict(
        type='mmpretrain.TIMMBackbone',
        model_name='beit_base_patch16_224',
        features_only=False,
        embed_dim=24,
        depth=1,
        num_heads=2,
        img_size=32,
    ),
)


@pytest.mark.parametrize('name', SMALL)
def test_a_backbone_of_any_family_comes_back(name, tmp_path):
    trained = MODELS.build(dict(SMALL[name]))
    state = trained.state_dict()
    saved = {f'backbone.{key}': value for key, value in state.items()}
    torch.save(dict(meta=dict(cfg=f'model=dict(backbone={SMALL[name]!r})'), state_dict=saved), tmp_path / 'a.pth')
    student = mmlgd.get_student(tmp_path / 'a.pth').state_dict()
    assert student.keys() == state.keys() and all(torch.equal(student[key], state[key]) for key in state)


LARGE = dict(
    window=(
        dict(
            type='mmpretrain.SwinTransformer',
            arch=dict(embed_dims=3, depths=[1, 1, 1, 1], num_heads=[3, 3, 3, 3]),
            window_size=100,
        ),
        'numbers or more',
    ),
    layers=(
        dict(
            type='mmpretrain.VisionTransformer',
            arch=dict(embed_dims=1, num_layers=10**6, num_heads=1, feedforward_channels=1),
            img_size=16,
        ),
        'so many layers',
    ),
)


@pytest.mark.parametrize('name', LARGE)
def test_a_small_file_builds_no_large_backbone(name, tmp_path, monkeypatch):
    monkeypatch.setattr('mmlgd.student.sized_build._SLACK_OF_STEPS', 500)
    backbone, told = LARGE[name]
    content = dict(meta=dict(cfg=f'model=dict(backbone={backbone!r})'), state_dict={'backbone.x': torch.ones(2)})
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=told):
        mmlgd.get_student(tmp_path / 'a.pth')
