"""What the tests share: small random towers, a few images, and a cache of their own."""

import copy
import functools
import gc
import http.server
import json
import os
import random
import threading
import zlib
from textwrap import dedent

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import HealthCheck, settings
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.visualization import Visualizer
from PIL import Image
from safetensors.torch import save_file

from mmlgd.checkpoints.loaders import loading_safely
from mmlgd.registry import MODELS
from tests import ROOT
from tests.devices import scale_losses_on_the_cpu
from tests.quick import be_quick, lay_out

be_quick()
# The same examples each time, however busy the machine is.
settings.register_profile(
    'same', derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile('same')

TOOLS = ROOT / 'tools'
EMBED_DIM = 32
TINY_CLIP = dict(
    model_cfg=dict(
        embed_dim=EMBED_DIM,
        vision_cfg=dict(image_size=64, layers=[1, 1, 1, 1], width=16),
        text_cfg=dict(context_length=16, vocab_size=49408, width=8, heads=2, layers=1),
    ),
    preprocess_cfg=dict(mean=[0.5, 0.4, 0.3], std=[0.25, 0.2, 0.3]),
)


def pytest_collection_modifyitems(items):
    """The tests marked ``gpu`` need a card, and say so where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker('gpu'):
                item.add_marker(pytest.mark.skip(reason='needs a GPU'))


def seed(name):
    """Begin with the same random numbers, whatever ran before: how long tests take decides which share a process."""
    number = zlib.crc32(name.encode())
    random.seed(number)
    np.random.seed(number)
    torch.default_generator.manual_seed(number)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef):
    seed(fixturedef.argname)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    seed(item.name)


def pytest_collection_finish():
    """mmengine collects garbage for each data set: a third of a second, unless it passes over what is here for good."""
    gc.freeze()


@pytest.fixture(autouse=True, scope='session')
def cache(tmp_path_factory):
    """Keep cached text embeddings out of the user's home."""
    os.environ['MMLGD_CACHE'] = str(tmp_path_factory.mktemp('cache'))


@pytest.fixture(autouse=True)
def own_visualizers():
    """mmengine names a run by the second: of two tests in one, the later would draw into the folder of the other."""
    yield
    kinds = [Visualizer]
    for kind in kinds:  # grows while it is read
        kinds += kind.__subclasses__()
        kind._instance_dict.clear()


@pytest.fixture
def device(request, monkeypatch):
    """Where a test runs (see devices.py), and so do the runs that it starts in this process."""
    monkeypatch.setattr('mmengine.device.utils.DEVICE', request.param)
    # On a card, float32 convolutions have 10 bits of mantissa by default.
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    return request.param


@pytest.fixture
def log(caplog):
    """What mmengine logs, which may go to the stdout of the test that made the logger."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.fixture
def loss_scaler(device, monkeypatch):
    """The card's own, and one on the CPU that counts alike."""
    if device == 'cpu':
        scale_losses_on_the_cpu(monkeypatch.setattr)


@pytest.fixture(autouse=True)
def scope_as_before():
    """mmengine's scope of names is global: what a test leaves there is taken back."""
    before = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)


@pytest.fixture
def loads_safely():
    """mmengine's loaders replaced by ours, as in our commands; they are put back."""
    with loading_safely():
        yield


@pytest.fixture(scope='module')
def mmpretrain_scope():
    """mmpretrain's names first, as in a run; the scope is global, so it is put back."""
    before = DefaultScope.get_current_instance()
    init_default_scope('mmpretrain')
    yield
    if before is not None:
        init_default_scope(before.scope_name)


@pytest.fixture(scope='session')
def tiny_clip(tmp_path_factory):
    """Name of a small random open_clip model in open_clip's own folder layout."""
    folder = tmp_path_factory.mktemp('tiny_clip')
    (folder / 'open_clip_config.json').write_text(json.dumps(TINY_CLIP))
    torch.manual_seed(0)
    clip = open_clip.create_model(f'local-dir:{folder}')
    for name, value in clip.visual.named_parameters():
        if name.endswith('bn3.weight'):  # 0 at first: the residual branches would be silent
            torch.nn.init.uniform_(value, 0.5, 1.5)
        elif name.endswith('positional_embedding'):
            torch.nn.init.normal_(value, std=0.02)
    # Batch-norm statistics of images, not of nothing: who mixes up train and eval mode shows, and images differ.
    for module in clip.visual.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        clip.visual.train()(3 * torch.randn(64, 3, 1, 1) + torch.randn(64, 3, 64, 64))
    save_file(clip.state_dict(), folder / 'open_clip_model.safetensors')
    return f'local-dir:{folder}'


@pytest.fixture(scope='session')
def lgd_model(tiny_clip):
    """An LGD model that builds in a moment: the config, not to be changed."""
    return dict(
        type='mmlgd.LGD',
        backbone=dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8),
        neck=dict(in_channels=64),
        teacher=dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip),
        text=dict(vocabulary=['cat', 'dog', 'red panda', 'tree', 'car'], templates=['a photo of a {}.', 'a {}.']),
    )


@pytest.fixture
def lgd_config(lgd_model):
    """The same, to be changed at will."""
    return copy.deepcopy(lgd_model)


@pytest.fixture(scope='session')
def lgd_checkpoint(lgd_model, tmp_path_factory):
    """A checkpoint of that model, with the config in it, as mmengine's runner writes it."""
    torch.manual_seed(0)
    config = Config(dict(default_scope='mmpretrain', model=copy.deepcopy(lgd_model), train_cfg=dict(max_epochs=2)))
    model = MODELS.build(copy.deepcopy(lgd_model))
    path = tmp_path_factory.mktemp('checkpoint') / 'epoch_2.pth'
    text, _ = lay_out(config.pretty_text, style_config='pep8')  # as in a real file, for the tests that change it
    meta = dict(cfg=text, epoch=2, iter=6, mmengine_version='0.10.7')
    torch.save(dict(meta=meta, state_dict=model.state_dict(), optimizer={}, message_hub={}), path)
    return path


@pytest.fixture(scope='session')
def images(tmp_path_factory):
    """A folder of 12 random images in 3 class folders."""
    root = tmp_path_factory.mktemp('images')
    rng = np.random.default_rng(0)
    for k in range(12):
        folder = root / f'class{k % 3}'
        folder.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(folder / f'{k}.png')
    return root


@pytest.fixture(scope='session')
def recipe_of(tiny_clip, images):
    """Text of a user's own config on top of one of ours: a small teacher, a few images, three names, two epochs."""

    def text(base):
        return dedent(f"""
            _base_ = r'{base}'
            model = dict(
                backbone=dict(base_channels=8, stem_channels=8),
                neck=dict(in_channels=64),
                teacher=dict(_delete_=True, type='mmlgd.OpenCLIPTeacher', model=r'{tiny_clip}'),
                text=dict(vocabulary=['cat', 'dog', 'tree'], templates='plain'))
            train_dataloader = dict(
                batch_size=4, num_workers=0, persistent_workers=False,
                dataset=dict(data_root=r'{images}', size=64))
            val_dataloader = dict(
                batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=dict(type='mmlgd.default_collate'),
                dataset=dict(type='CustomDataset', data_root=r'{images}', data_prefix='', pipeline=[
                    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64)), dict(type='PackInputs')]))
            val_evaluator = [
                dict(type='Accuracy', topk=1),
                dict(type='MultiTasksMetric', task_metrics=dict(teacher=[dict(type='Accuracy', topk=1)]))]
            val_cfg = dict()
            test_dataloader, test_evaluator, test_cfg = val_dataloader, val_evaluator, dict()
            train_cfg = dict(max_epochs=2, val_interval=1)
            default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1))
            """)

    return text


@pytest.fixture
def served(tmp_path):
    """A web server on this machine, and the folder that it serves."""
    folder = tmp_path / 'served'
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *args: None
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield folder, f'http://127.0.0.1:{server.server_address[1]}'
        server.shutdown()
        thread.join()


@pytest.fixture(scope='module')
def recipe(tmp_path_factory, recipe_of):
    """A user's config on top of the recipe for one's own images."""
    path = tmp_path_factory.mktemp('recipe') / 'mine.py'
    path.write_text(recipe_of(ROOT / 'configs/lgd/lgd_resnet18_1xb256-coslr-200e_images.py'))
    return path
