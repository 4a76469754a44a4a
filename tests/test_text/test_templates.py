import open_clip
import pytest

from mmlgd.text import fill, load_templates


def test_published_templates_fill_as_open_clip_fills():
    templates = load_templates('openai-imagenet-80')
    assert [fill(t, 'red panda') for t in templates] == [t('red panda') for t in open_clip.OPENAI_IMAGENET_TEMPLATES]
    assert len(templates) == 80 and len(load_templates('openai-imagenet-7')) == 7


def test_own_and_plain_templates():
    assert load_templates(['a {}.']) == ['a {}.']
    assert [fill(t, 'cat') for t in load_templates('plain')] == ['cat']


def test_a_name_is_data():
    assert fill('a {}.', '{0.__class__}') == 'a {0.__class__}.'


@pytest.mark.parametrize('templates', ['openai', [], ['no slot'], ['{} and {}'], [3]])
def test_unusable_templates_are_refused(templates):
    with pytest.raises(ValueError, match='template'):
        load_templates(templates)
