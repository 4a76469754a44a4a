"""The policy for bad images: what is left out, what takes its place, where it ends."""

import pickle
import shutil
import sys
import tracemalloc

import numpy as np
import pytest
import torch
from mmpretrain.datasets import CustomDataset

from mmlgd.datasets import BadImageError, Images, TooManyBadImagesError
from mmlgd.datasets.bad_images import BadImages, bad_images_of, count_text
from mmlgd.datasets.collate import default_collate
from mmlgd.errors import ConfigError
from mmlgd.store import SeededViews
from tests.bad_images import encode, photo

PIPELINE = [
    dict(type='mmlgd.LoadImageFromFile'),
    dict(type='mmlgd.RandomResizedCrop', scale=16),
    dict(type='mmpretrain.PackInputs'),
]
PLAIN = dict(with_label=False, serialize_data=False)  # to serialize is to wait for the garbage collector
GOOD, BAD = 20, ('05.jpg', '11.jpg', '17.jpg')


pytestmark = pytest.mark.usefixtures('mmpretrain_scope')


@pytest.fixture(scope='module')
def _folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('some_bad')
    for k in range(GOOD):
        (folder / f'{k:02d}.jpg').write_bytes(encode(photo(k), 'JPEG'))
    whole = (folder / BAD[0]).read_bytes()
    (folder / BAD[0]).write_bytes(whole[: len(whole) // 2])
    (folder / BAD[1]).write_bytes(b'')
    (folder / BAD[2]).write_text('no image')
    return folder


@pytest.fixture
def folder(_folder, tmp_path):
    """A folder of 20 images, 3 of which are bad; to be changed at will."""
    return shutil.copytree(_folder, tmp_path / 'folder')


def dataset(folder, **options):
    options = {**dict(bad_images='skip', max_bad_images=3), **options}
    return Images(data_root=str(folder), pipeline=PIPELINE, **PLAIN, **options)


def name(sample):
    return sample['data_samples'].img_path[-6:]


def test_a_policy_of_a_transform_is_refused_where_it_would_not_be_counted(folder):
    pipeline = [dict(type='mmlgd.LoadImageFromFile', bad_images='skip'), *PIPELINE[1:]]
    with pytest.raises(ConfigError, match='with a policy of its own.*dataset.bad_images'):
        Images(data_root=str(folder), pipeline=pipeline, **PLAIN)
    theirs = CustomDataset(str(folder), pipeline=pipeline, **PLAIN)
    with pytest.raises(ConfigError, match='a view of a bad image would be one of another image'):
        SeededViews(theirs, views=1)


def test_the_first_bad_image_stops_a_run_by_default(folder):
    """The class is strict; our configs ask."""
    for options in (dict(bad_images='raise'), {}):
        strict = Images(data_root=str(folder), pipeline=PIPELINE, **PLAIN, **options)
        assert name(strict[4]) == '04.jpg'
        with pytest.raises(BadImageError, match=r'05\.jpg cannot be used: it is cut off .*Repair it or remove it'):
            strict[5]


def test_a_bad_image_is_replaced_and_reported(folder):
    images = dataset(folder)
    for k in range(GOOD):
        sample = images[k]
        (told,) = bad_images_of(default_collate([sample]))
        if f'{k:02d}.jpg' in BAD:
            assert name(sample) not in BAD
            assert next(iter(told)) == str(folder / f'{k:02d}.jpg')  # the one that was asked for comes first
        else:
            assert name(sample) == f'{k:02d}.jpg' and not told


def test_the_replacement_is_the_same_in_every_process(folder):
    first = {k: name(dataset(folder)[k]) for k in (5, 11, 17)}
    images = pickle.loads(pickle.dumps(dataset(folder)))
    np.random.seed(7), torch.manual_seed(7)
    assert {k: name(images[k]) for k in (17, 5, 11)} == first
    loader = torch.utils.data.DataLoader(images, batch_size=1, num_workers=2, collate_fn=default_collate)
    for k, batch in enumerate(loader):
        assert batch['data_samples'][0].img_path[-6:] == first.get(k, f'{k:02d}.jpg')
    assert len(set(first.values())) > 1  # not all have the same one


def test_more_than_the_limit_is_refused_with_names(folder):
    images = dataset(folder, max_bad_images=2)
    images[5], images[11], images[5]
    with pytest.raises(TooManyBadImagesError, match='3 of 20 images are bad so far, and at most 2') as caught:
        for k in range(GOOD):
            images[k]
    for bad, reason in zip(BAD, ('cut off', r'0 bytes', 'not a readable image')):
        assert f'{folder / bad}: it is' in str(caught.value) and reason in str(caught.value)


def test_a_folder_of_nothing_but_bad_images_ends(folder):
    for file in folder.iterdir():
        file.write_bytes(b'')
    with pytest.raises(TooManyBadImagesError, match='and 15 more'):
        dataset(folder, max_bad_images=10_000)[0]


def test_errors_of_a_worker_reach_the_main_process(folder):
    for options, error in ((dict(bad_images='raise'), BadImageError), (dict(max_bad_images=1), ValueError)):
        loader = torch.utils.data.DataLoader(
            dataset(folder, **options), batch_size=4, num_workers=2, collate_fn=default_collate
        )
        with pytest.raises(error, match=str(folder)):
            list(loader)


@pytest.mark.parametrize('most, images, limit', [(0.01, 1200, 12), (0.01, 50, 1), (0.5, 3, 1), (7, 100, 7), (7, 5, 4)])
def test_the_limit(most, images, limit):
    assert BadImages('skip', most).limit(images) == limit
    assert BadImages('raise', most).limit(images) == 0


@pytest.mark.parametrize('most', [0, -1, 1.5, float('nan'), '1%', True, None])
def test_an_invalid_limit_is_refused(most):
    with pytest.raises(ValueError, match='max_bad_images is a number'):
        BadImages('skip', most)


def test_an_unknown_policy_is_refused(folder):
    with pytest.raises(ValueError, match=r"one of \('raise', 'skip'\), got 'ignore'"):
        dataset(folder, bad_images='ignore')


def test_evaluation_never_skips_images(folder):
    with pytest.raises(ValueError, match='test_mode=True'):
        dataset(folder, test_mode=True)
    for evaluated in (
        dataset(folder, test_mode=True, bad_images='raise'),
        CustomDataset(data_root=str(folder), pipeline=PIPELINE, **PLAIN),  # as in our val_dataloaders
    ):
        with pytest.raises(BadImageError, match=BAD[0]):
            [evaluated[k] for k in range(GOOD)]


def test_missing_files_of_a_list_are_bad_images(folder):
    (folder / 'list.txt').write_text('00.jpg\nmissing.jpg\n01.jpg\n')
    images = dataset(folder, ann_file='list.txt')
    (told,) = bad_images_of(default_collate([images[1]]))
    assert told == {str(folder / 'missing.jpg'): 'it cannot be read (No such file or directory)'}


@pytest.mark.parametrize('indices', [[0, 20], [-21], 0, [], '7', ['a'], 2.5])
def test_chosen_images_are_images_of_the_folder(folder, indices):
    with pytest.raises(ConfigError, match='indices=.* no images of .*folder.*, which has 20. .* from 0 to 19'):
        dataset(folder, indices=indices)
    assert [len(dataset(folder, indices=some)) for some in ([0, 19, -20], 5, 99)] == [3, 5, 20]


def test_a_folder_named_like_an_image_is_a_folder(folder):
    (folder / 'more.jpg').mkdir()
    (folder / '00.jpg').rename(folder / 'more.jpg' / '00.jpg')
    images = dataset(folder)
    assert len(images) == GOOD and images[GOOD - 1]['data_samples'].img_path.endswith('more.jpg/00.jpg')


def test_a_view_of_a_bad_image_is_the_view_of_another(folder):
    views = SeededViews(dataset(folder), views=3, noise=2)
    for view in range(3):
        sample = views[view * GOOD + 11]
        other = views[view * GOOD + int(name(sample)[:2])]
        assert torch.equal(sample['inputs'], other['inputs'])
        assert torch.equal(sample['augmentation_noise'], other['augmentation_noise'])
        assert sample['data_samples'].bad_images and 'bad_images' not in other['data_samples']
    with pytest.raises(BadImageError, match=BAD[1]):
        SeededViews(dataset(folder, bad_images='raise'), views=1)[11]


def test_the_count():
    assert count_text(0, 9) == 'No image of 9 was bad.'
    assert count_text(1, 9) == '1 of 9 images was bad and left out.'
    assert count_text(2, 9) == '2 of 9 images were bad and left out.'


def test_a_start_holds_each_image_once(folder, monkeypatch):
    """A million images: as a list of dicts and, beside it, in bytes, they took 640 MiB of each rank."""
    images = Images(data_root=str(folder), with_label=False, lazy_init=True)
    monkeypatch.setattr(images, '_find_samples', lambda: [f'{k:032d}.jpg' for k in range(5000)])
    tracemalloc.start()
    images.full_init()
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    listed = [dict(img_path=f'{folder}/{k:032d}.jpg') for k in range(5000)]
    alone = sum(sys.getsizeof(one) + sys.getsizeof(one['img_path']) for one in listed)
    assert kept < alone / 2 and most < 1.3 * alone
    assert images.get_data_info(4999) == {**listed[4999], 'sample_idx': 4999} and len(images) == 5000
