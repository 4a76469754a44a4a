"""A data set that cannot be built is an error with its settings, whatever its class raises."""

import pytest
from mmengine.config import Config

from mmlgd.errors import ConfigError, MissingFileError
from mmlgd.studies.data_sets import dataset_of


@pytest.mark.parametrize(
    'options, kind, said',
    [
        (dict(data_root='gone'), MissingFileError, 'FileNotFoundError: .*gone'),
        (dict(data_root='empty'), ConfigError, 'RuntimeError: Found 0 files'),
        (dict(ann_file='empty.txt'), ConfigError, 'ValueError: need at least one array'),
        (dict(data_root='empty', other=1), ConfigError, "TypeError: .* 'other'"),
    ],
)
def test_images_that_cannot_be_listed(tmp_path, monkeypatch, options, kind, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'empty.txt').touch()
    cfg = Config(dict(train_dataloader=dict(dataset=dict(type='mmpretrain.CustomDataset', **options))))
    with pytest.raises(kind, match=f'^train_dataloader cannot be built from .*{said}'):
        dataset_of(cfg, 'train_dataloader')
