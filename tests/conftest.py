"""What the tests share: small random towers, a few pictures, and a cache of their own."""

import json
import os

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

EMBED_DIM = 32
TINY_CLIP = dict(
    model_cfg=dict(
        embed_dim=EMBED_DIM,
        vision_cfg=dict(image_size=64, layers=[1, 1, 1, 1], width=16),
        text_cfg=dict(context_length=16, vocab_size=49408, width=32, heads=2, layers=1),
    ),
    preprocess_cfg=dict(mean=[0.5, 0.4, 0.3], std=[0.25, 0.2, 0.3]),
)


@pytest.fixture(autouse=True, scope='session')
def cache(tmp_path_factory):
    """Keep cached text embeddings out of the user's home."""
    os.environ['MMLGD_CACHE'] = str(tmp_path_factory.mktemp('cache'))


@pytest.fixture(scope='session')
def tiny_clip(tmp_path_factory):
    """Name of a small random open_clip model in open_clip's own folder layout."""
    folder = tmp_path_factory.mktemp('tiny_clip')
    (folder / 'open_clip_config.json').write_text(json.dumps(TINY_CLIP))
    torch.manual_seed(0)
    weights = open_clip.create_model(f'local-dir:{folder}').state_dict()
    # Random batch-norm statistics and residual branches: a bank that mixes up train and eval mode would show.
    for name, value in weights.items():
        if value.is_floating_point() and ('running' in name or name.endswith('bn3.weight')):
            weights[name] = torch.rand_like(value) + 0.5
    save_file(weights, folder / 'open_clip_model.safetensors')
    return f'local-dir:{folder}'


@pytest.fixture
def lgd_config(tiny_clip):
    """An LGD model that builds in a moment."""
    return dict(
        type='mmlgd.LGD',
        backbone=dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8),
        neck=dict(in_channels=64),
        teacher=dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip),
        text=dict(vocabulary=['cat', 'dog', 'red panda', 'tree', 'car'], templates=['a photo of a {}.', 'a {}.']),
    )


@pytest.fixture(scope='session')
def pictures(tmp_path_factory):
    """A folder of 12 random pictures in 3 class folders."""
    root = tmp_path_factory.mktemp('pictures')
    rng = np.random.default_rng(0)
    for k in range(12):
        folder = root / f'class{k % 3}'
        folder.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(folder / f'{k}.png')
    return root
