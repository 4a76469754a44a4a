"""The news of bad images in real runs: two workers, two epochs, two ranks; each once, and a count in the end."""

import re
import shutil

import pytest
import torch
import torch.multiprocessing as mp
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmlgd.datasets import BadImageError, TooManyBadImagesError
from mmlgd.registry import MODELS
from tests.bad_images import encode, photo

BAD = {'01.jpg': b'', '06.jpg': b'no image', '11.jpg': encode(photo(), 'JPEG')[:-20]}


@MODELS.register_module()
class OneNumber(BaseModel):
    """Enough for a runner to train."""

    def __init__(self):
        super().__init__()
        self.number = torch.nn.Parameter(torch.zeros(()))

    def forward(self, inputs, data_samples=None, mode='loss'):
        return dict(loss=self.number * inputs.float().mean())


pytestmark = pytest.mark.usefixtures('mmpretrain_scope')


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'images').mkdir()
    for k in range(16):
        name = f'{k:02d}.jpg'
        (tmp_path / 'images' / name).write_bytes(BAD.get(name, encode(photo(k), 'JPEG')))
    return tmp_path / 'images'


def config(folder, wrap=lambda dataset: dataset, hooks=(), workers=2, **options):
    dataset = dict(
        type='mmlgd.Images',
        data_root=str(folder),
        with_label=False,
        serialize_data=False,  # which would wait for the garbage collector
        pipeline=[
            dict(type='mmlgd.LoadImageFromFile'),
            dict(type='CenterCrop', crop_size=16),
            dict(type='mmpretrain.PackInputs'),
        ],
        **options,
    )
    loader = dict(
        batch_size=4,
        num_workers=workers,
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='mmlgd.default_collate'),
        dataset=wrap(dataset),
    )
    return Config(
        dict(
            default_scope='mmpretrain',
            model=dict(type='mmlgd.OneNumber'),
            train_dataloader=loader,
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            train_cfg=dict(by_epoch=True, max_epochs=2),
            default_hooks=dict(bad_images=dict(type='mmlgd.BadImagesHook'), checkpoint=None),
            custom_hooks=list(hooks),
            work_dir=str(folder.parent / 'run'),
            log_level='INFO',
            experiment_name=folder.parent.name,
        )
    )


def log_of(folder):
    (file,) = (folder.parent / 'run').rglob('*.log')
    return file.read_text()


@pytest.mark.parametrize(
    'wrap, hooks',
    [
        (lambda dataset: dataset, []),
        (lambda dataset: dataset, [dict(type='mmlgd.SummaryHook')]),
        (lambda dataset: dict(type='RepeatDataset', times=2, dataset=dataset), []),
        (lambda dataset: dict(type='mmlgd.SeededViews', views=2, dataset=dataset), []),
    ],
    ids=['plain', 'with a summary', 'repeated', 'views'],
)
def test_each_bad_image_is_reported_once_and_counted_at_the_end(folder, wrap, hooks):
    Runner.from_cfg(config(folder, wrap, hooks, bad_images='skip', max_bad_images=3)).train()
    log = log_of(folder)
    told = dict(re.findall(r'WARNING - Bad image left out: (\S+): (.*)', log))
    assert told.keys() == {str(folder / name) for name in BAD} and log.count('Bad image left out') == 3
    assert 'empty (0 bytes)' in told[str(folder / '01.jpg')] and 'cut off' in told[str(folder / '11.jpg')]
    assert log.count('3 of 16 images were bad and left out.') == 1
    assert log.index('images were bad and left out') > log.index(max(told, key=log.index))


def test_the_summary_of_a_clean_folder_says_so(folder):
    for name in BAD:
        (folder / name).unlink()
    hooks = [dict(type='mmlgd.SummaryHook')]
    Runner.from_cfg(config(folder, hooks=hooks, workers=0, bad_images='skip', max_bad_images=3)).train()
    assert log_of(folder).count('No image of 13 was bad.') == 1


def test_a_run_that_has_not_read_all_images_says_nothing_of_them(folder):
    """As one that is resumed at its end: the bad images of its epochs were told by the run before."""
    for name in BAD:
        (folder / name).unlink()
    cfg = config(folder, workers=0, bad_images='skip', max_bad_images=3)
    cfg.train_cfg = dict(by_epoch=False, max_iters=2)
    Runner.from_cfg(cfg).train()
    assert 'was bad' not in log_of(folder)


def test_the_limit_is_of_all_workers_together(folder):
    """Three bad images in three batches: neither of two workers meets more than two."""
    cfg = config(folder, bad_images='skip', max_bad_images=2)
    cfg.train_dataloader.sampler.shuffle = False
    with pytest.raises(TooManyBadImagesError, match='3 of 16 images are bad so far, and at most 2') as caught:
        Runner.from_cfg(cfg).train()
    assert 'worker process' not in str(caught.value)
    assert all(str(folder / name) in str(caught.value) for name in BAD)


def test_with_the_policy_raise_the_first_bad_image_stops_the_run(folder):
    cfg = config(folder, bad_images='raise')
    cfg.train_dataloader.sampler.shuffle = False
    with pytest.raises(
        BadImageError, match=r'01\.jpg cannot be used: it is empty \(0 bytes\)\. Repair it or remove it'
    ):
        Runner.from_cfg(cfg).train()


def on_rank(rank, folder, options):
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', f'file://{folder.parent}/rendezvous', rank=rank, world_size=2)
    cfg = config(folder, workers=0, bad_images='skip', **options)
    cfg.train_dataloader.sampler.shuffle = False
    try:
        Runner.from_cfg(cfg).train()
    except TooManyBadImagesError as error:
        (folder.parent / f'{rank}.txt').write_text(str(error))
    torch.distributed.destroy_process_group()


def test_two_ranks_report_each_bad_image_once(folder):
    """Without shuffling, rank 0 reads images 0, 2, ...: two of three bad ones are the other's."""
    mp.start_processes(on_rank, (folder, dict(max_bad_images=3)), nprocs=2, start_method='fork')
    log = log_of(folder)
    assert sorted(re.findall(r'left out: (\S+):', log)) == [str(folder / name) for name in BAD]
    assert log.count('3 of 16 images were bad and left out.') == 1
    shutil.rmtree(folder.parent / 'run')
    (folder.parent / 'rendezvous').unlink(missing_ok=True)
    mp.start_processes(on_rank, (folder, dict(max_bad_images=2)), nprocs=2, start_method='fork')
    for rank in range(2):  # both stop, at the end of the epoch: neither has met three by itself
        assert '3 of 16 images are bad so far, and at most 2' in (folder.parent / f'{rank}.txt').read_text()
