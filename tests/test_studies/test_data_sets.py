"""A data set that cannot be built is an error of the config, whatever its class raises."""

import pytest
from mmengine.config import Config

from mmlgd.errors import ConfigError
from mmlgd.studies.data_sets import dataset_of


@pytest.mark.parametrize(
    'options, said',
    [
        (dict(data_root='gone'), 'cannot be listed: FileNotFoundError: .*gone'),
        (dict(data_root='empty'), 'cannot be listed: RuntimeError: Found 0 files'),
        (dict(ann_file='empty.txt'), 'cannot be listed: ValueError: need at least one array'),
        (dict(data_root='empty', other=1), "cannot be listed: TypeError: .* 'other'"),
    ],
)
def test_images_that_cannot_be_listed(tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'empty.txt').touch()
    cfg = Config(dict(train_dataloader=dict(dataset=dict(type='mmpretrain.CustomDataset', **options))))
    with pytest.raises(ConfigError, match=f'The images of train_dataloader.dataset {said}'):
        dataset_of(cfg, 'train_dataloader')
