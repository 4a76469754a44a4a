"""Several phrasings of a class are one row: the unit mean over phrasings and templates."""

import pytest
import torch
import torch.nn.functional as F

from mmlgd.text import VocabularyError, embed_class_names, load_vocabulary

from .test_embedding import Tower


def test_the_row_of_a_class_is_the_unit_mean_over_phrasings_and_templates(tmp_path):
    templates = ['a {}', 'the {}']
    tower = Tower()
    rows = embed_class_names(tower, 8, 'teacher-1', ['sky|clouds', 'road'], templates, str(tmp_path))
    prompts = ['a sky', 'the sky', 'a clouds', 'the clouds', 'a road', 'the road']
    assert tower.prompts == prompts
    each = Tower()(prompts)
    expected = torch.stack([each[:4].mean(dim=0), each[4:].mean(dim=0)])
    torch.testing.assert_close(rows, F.normalize(expected, dim=-1))


def test_names_come_with_their_phrasings_in_one_form(tmp_path):
    (tmp_path / 'names.txt').write_text('sky | clouds\nroad\n')
    assert load_vocabulary(str(tmp_path / 'names.txt')) == ['sky|clouds', 'road']
    assert load_vocabulary(['car', ' truck|  lorry ']) == ['car', 'truck|lorry']


@pytest.mark.parametrize(
    'names, message',
    [
        (['sky|'], 'has an empty phrasing'),
        (['|'], 'has an empty phrasing'),
        (['road', 'sky| sky'], "Name 2 .*has the phrasing 'sky' twice"),
        (['sky|clouds', 'sky | clouds'], 'twice, as name 1 and 2'),
    ],
)
def test_phrasings_that_cannot_be_used(names, message):
    with pytest.raises(VocabularyError, match=message):
        load_vocabulary(names)
