"""Settings are checked by name and kind before anything is built."""

import pytest
from mmengine.config import ConfigDict

import mmlgd
from mmlgd.cli.tool import run_tool
from mmlgd.errors import ConfigError, MissingFileError, MMLGDError
from mmlgd.registry import MODELS
from mmlgd.utils.building import build_part


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(temperature=0.2), 'no setting temperature. Did you mean student_temperature'),
        (dict(alfa=0.2), 'no setting alfa. Did you mean alpha'),
        (dict(alpha='0.5'), "takes float as alpha, got '0.5', a str"),
        (dict(alpha=True), 'takes float as alpha'),
        (dict(alpha=float('nan')), 'takes float as alpha'),
        (dict(alpha=2), r'alpha, the weight of the visual part, in \[0, 1\], got 2'),
        (dict(student_temperature=0), 'positive temperatures'),
        (dict(self_logit='no'), 'takes bool as self_logit'),
    ],
)
def test_settings_of_wrong_name_or_type_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        mmlgd.LGDLoss(**settings)
    with pytest.raises(ConfigError, match=message):  # mmengine keeps the class, and adds where it was
        MODELS.build(dict(settings, type='mmlgd.LGDLoss'))


def test_values_as_configs_have_them_are_accepted():
    assert mmlgd.LGDLoss(alpha=1, student_temperature=1).alpha == 1  # a whole number is a number
    assert mmlgd.MoCoV2Augmentation(sigma=[0.1, 2]).sigma == (0.1, 2)  # JSON has no tuples
    assert build_part(ConfigDict(alpha=0.25), 'model.loss', 'mmlgd.LGDLoss').alpha == 0.25
    with pytest.raises(ConfigError, match='takes tuple'):
        mmlgd.MoCoV2Augmentation(sigma=[0.1])


def test_positions_count_too():
    with pytest.raises(ConfigError, match='VisualSemanticsBank cannot be built: .*embed_dim'):
        mmlgd.VisualSemanticsBank(3)
    with pytest.raises(ConfigError, match='takes int as num_classes'):
        mmlgd.VisualSemanticsBank('3', 4)


@pytest.mark.parametrize(
    ('part', 'settings'),
    [
        ('loss', 5),
        ('loss', dict(type='mmlgd.NoLoss')),
        ('backbone', dict(type='mmpretrain.ResNet', depth=17)),
        ('backbone', dict(depth=18)),
        ('visual_bank', dict(momentum=2.0)),
        ('queue', dict(size=0)),
        ('text', dict(vocabulary=[])),
        ('teacher', dict(type='mmlgd.LGDLoss')),
    ],
)
def test_the_part_is_named(part, settings, lgd_config):
    with pytest.raises(MMLGDError, match=rf'{part}|momentum|queue of|holds no names'):
        MODELS.build({**lgd_config, part: settings})


def test_expected_errors_show_a_message_and_bugs_a_traceback():
    def refuse():
        raise MissingFileError('There is no such file.')

    with pytest.raises(SystemExit, match='^error: There is no such file.$'):
        run_tool(refuse)
    with pytest.raises(ZeroDivisionError):
        run_tool(lambda: 1 / 0)
