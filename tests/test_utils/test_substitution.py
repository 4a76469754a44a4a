"""What mmengine substitutes in a config's text does not come in by a path, a name or a variable."""

import pytest
from mmengine.config import Config

from mmlgd.errors import ConfigError
from mmlgd.utils.substitution import refuse_substitution
from tests import ROOT

CONFIGS = ROOT / 'configs'
ODD = [
    'it\'s "both"',
    '\\d \\1 \\',
    '{a} {{b}} {c}}',
    '$HOME ${x}',
    'two\nlines\u2028',
    '{{ a.fileBasename }}',
    "',open('x','w'),'",
]
TEMPLATES = [
    '{{ fileBasename }}',
    '{{fileDirname}}',
    "{{$NOVAR:',open('ran','w'),'}}",
    '{{"$NOVAR:x"}}',
    '{{\n_base_.a }}',
]


def read_again(value, folder):
    Config(dict(value=value)).dump(folder / 'dumped.py')
    return Config.fromfile(folder / 'dumped.py').value


@pytest.mark.parametrize('text', ODD)
def test_odd_names_come_back_out_of_a_dumped_config(text, tmp_path):
    refuse_substitution(dict(data_root=text, names=[text]))
    assert read_again([text, dict(a=text)], tmp_path) == [text, dict(a=text)]


@pytest.mark.parametrize('text', TEMPLATES)
@pytest.mark.parametrize('wrap', [lambda x: x, lambda x: [x, 1], lambda x: {x: 1}, lambda x: dict(a=(dict(b=x),))])
def test_templates_are_refused(text, wrap):
    with pytest.raises(ConfigError, match=r'data.* is .*, and mmengine substitutes what starts with|a key is'):
        refuse_substitution(Config(dict(data=wrap(text))).to_dict())


def test_a_template_in_two_strings_is_refused(tmp_path):
    """Of class names, for example: it is the text of the file that mmengine looks at."""
    names = ['{{$NOVAR:', '}}']
    with pytest.raises(ConfigError, match='names.0'):
        refuse_substitution(dict(names=names))
    with pytest.raises(SyntaxError):  # the reason
        read_again(names, tmp_path)


def test_no_config_of_ours_takes_a_variable_as_text():
    texts = {file: file.read_text() for file in CONFIGS.rglob('*.py')}
    assert len(texts) > 90 and not [str(file) for file, text in texts.items() if '{{' in text.replace('{{_base_', '')]
