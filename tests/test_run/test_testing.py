"""The checkpoint that is evaluated, and pictures of predictions, also with a config without hook and visualiser."""

import pytest
from mmengine.config import Config
from mmengine.registry import HOOKS, VISUALIZERS, DefaultScope

from mmlgd.errors import ConfigError, MissingFileError
from mmlgd.run.testing import _draw_into
from mmlgd.run.testing import test_config as config_of_test


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet', 'mmseg'])
def test_each_library_draws_into_the_folder_that_was_asked_for(scope, tmp_path, monkeypatch):
    pytest.importorskip(scope)
    monkeypatch.chdir(tmp_path)
    cfg = Config(dict(default_scope=scope, default_hooks=dict(logger=dict(type='LoggerHook'))))
    _draw_into(cfg, 'shown')
    settings, folder = cfg.default_hooks.visualization, str(tmp_path / 'shown')
    assert folder in (settings.get('out_dir'), settings.get('test_out_dir'), cfg.visualizer.get('save_dir'))
    assert settings.get('enable') or settings.get('draw')
    with DefaultScope.overwrite_default_scope(scope):
        VISUALIZERS.build(dict(cfg.visualizer, name=f'drawn_by_{scope}'))
        HOOKS.build(settings)
    assert cfg.default_hooks.logger.type == 'LoggerHook'


def test_another_library_is_refused():
    with pytest.raises(ConfigError, match='--show-dir draws for .* got None'):
        _draw_into(Config(dict(model=dict())), 'shown')


def test_a_checkpoint_below_the_home_folder_is_found(lgd_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(lgd_checkpoint.parent))
    config = tmp_path / 'mine.py'
    config.write_text("model = dict(type='mmpretrain.ImageClassifier')\ntest_dataloader = dict(dataset=dict())\n")
    cfg = config_of_test(config, f'~/{lgd_checkpoint.name}', work_dir=tmp_path / 'w')
    assert cfg.load_from == str(lgd_checkpoint)
    with pytest.raises(MissingFileError, match='no checkpoint at .*epoch_9.pth'):
        config_of_test(config, '~/epoch_9.pth', work_dir=tmp_path / 'w')
    with pytest.raises(MissingFileError, match='no checkpoint at'):
        config_of_test(config, 300 * 'a', work_dir=tmp_path / 'w')
