"""What is said of data that no library can read."""

import pytest
from mmpretrain.datasets import CustomDataset

from mmlgd.datasets.data_errors import data_errors
from mmlgd.errors import ConfigError, MissingFileError, MissingPackageError, MMLGDError
from mmlgd.run.terminal import QuietRunner


@pytest.mark.parametrize(
    'settings, kind, said',
    [
        (dict(), ConfigError, 'RuntimeError: Found 0 files.*raised by mmpretrain.datasets.custom, line'),
        (dict(data_prefix='nope'), MissingFileError, "data_prefix=nope: FileNotFoundError.*'.*nope'"),
        (dict(ann_file='nope.txt'), MissingFileError, "ann_file=nope.txt: FileNotFoundError.*nope.txt'"),
        (dict(classes=['cat', 'dog']), ConfigError, 'AssertionError: The number of subfolders .1.'),
    ],
)
def test_data_that_no_library_can_read_are_named(tmp_path, settings, kind, said):
    """The libraries say what they did not find, and not which setting led there."""
    (tmp_path / 'cat').mkdir()
    runner = QuietRunner.__new__(QuietRunner)
    dataset = dict(type=CustomDataset, data_root=str(tmp_path), **settings)
    runner._val_dataloader = dict(batch_size=1, dataset=dict(type='RepeatDataset', times=2, dataset=dataset))
    with pytest.raises(kind, match=f'(?s)val_dataloader cannot be built from .*{tmp_path.name}.*{said}') as told:
        runner.build_dataloader(runner._val_dataloader, seed=0)
    assert not isinstance(told.value.__cause__, MMLGDError)
    assert str(told.value).endswith('Put the data there, or correct these settings.')


def test_a_loader_without_a_data_set_is_shown():
    runner = object.__new__(QuietRunner)
    runner._train_dataloader = dict(batch_size=3)
    with pytest.raises(ConfigError, match="from {'batch_size': 3}: KeyError: 'dataset'"):
        runner.build_dataloader(runner._train_dataloader, seed=0)


def test_a_package_that_is_missing_is_to_be_installed():
    missing = pytest.raises(MissingPackageError, match='from type=LVIS: .*Install it.$')
    with missing, data_errors('val_dataloader', dict(type='LVIS')):
        raise ImportError('Package lvis is not installed')


def test_errors_of_ours_stay_as_they_are(tmp_path):
    runner, loader = QuietRunner.__new__(QuietRunner), dict(dataset=dict(type='mmlgd.Images', data_root='nope'))
    with pytest.raises(MissingFileError, match='^There is no folder of images'):
        runner.build_dataloader(loader)
