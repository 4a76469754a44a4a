"""Pictures of predictions, also with a config that names neither hook nor visualiser."""

import pytest
from mmengine.config import Config
from mmengine.registry import HOOKS, VISUALIZERS, DefaultScope

from mmlgd.errors import ConfigError
from mmlgd.run.testing import _draw_into


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
