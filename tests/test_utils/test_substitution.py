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


VARIABLES = {
    '_base_/datasets/unlabelled_val.py': ['MMLGD_VAL'],
    'small/detector_bccd.py': ['MMLGD_BCCD'],
    'small/detector_coco128.py': ['MMLGD_COCO128'],
    'small/lgd_resnet18-half_pictures.py': ['MMLGD_PICTURES', 'MMLGD_NAMES'],
    'lgd/lgd_resnet18_1xb256-coslr-100e_tiny-imagenet_conse.py': ['TINY_IMAGENET'],
    'demo/lgd_resnet18-tiny_demo.py': ['MMLGD_DEMO'],
    'benchmarks/classification/zero-shot_resnet18_folder.py': ['MMLGD_DATA', 'MMLGD_NAMES'],
    'benchmarks/classification/zero-shot_mobilenetv2_folder.py': ['MMLGD_DATA', 'MMLGD_NAMES'],
}


@pytest.mark.parametrize('config', VARIABLES)
def test_a_variable_is_a_value_and_no_code(config, monkeypatch, tmp_path):
    def strings(value):
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
        return [value] if isinstance(value, str) else [text for one in inner for text in strings(one)]

    monkeypatch.chdir(tmp_path)
    for value in ("/my/it's \\1 {{b}}\n", "',open('ran','w'),'"):
        for name in VARIABLES[config]:
            monkeypatch.setenv(name, f'{name}{value}')
        cfg = Config.fromfile(CONFIGS / config)
        found = strings(cfg.to_dict())
        assert all(any(text.startswith(f'{name}{value}') for text in found) for name in VARIABLES[config])
        assert not hasattr(cfg, 'getenv') and not (tmp_path / 'ran').exists()
    for name in VARIABLES[config]:
        monkeypatch.setenv(name, '')  # as if it were not set
    assert Config.fromfile(CONFIGS / config).to_dict() != cfg.to_dict()


def test_a_name_file_with_a_quote_in_its_path(monkeypatch, tmp_path):
    (tmp_path / "it's").mkdir()
    (tmp_path / "it's/names.txt").write_text('cat\ndog\n')
    monkeypatch.setenv('MMLGD_NAMES', str(tmp_path / "it's/names.txt"))
    monkeypatch.setenv('MMLGD_VOID', '0')
    for config in ('classification/_base_/folder', 'mmseg/_base_/datasets/masks'):
        assert list(Config.fromfile(CONFIGS / f'benchmarks/{config}.py').class_names) == ['cat', 'dog']


def test_no_config_of_ours_takes_a_variable_as_text():
    texts = {file: file.read_text() for file in CONFIGS.rglob('*.py')}
    assert len(texts) > 100 and not [str(file) for file, text in texts.items() if '{{' in text.replace('{{_base_', '')]
