"""Several phrasings of a class are one row: the unit mean over phrasings and templates."""

from itertools import permutations

import pytest
import torch
import torch.nn.functional as F

from mmlgd.text import VocabularyError, embed_class_names, list_vocabularies, load_vocabulary, phrasings

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


def test_a_mapping_gives_a_name_its_other_phrasings():
    mapping = dict(road=['street', ' road '], sky='clouds', car=[])
    assert load_vocabulary(mapping) == ['road|street', 'sky|clouds', 'car']
    assert load_vocabulary(dict(union=[mapping, ['car', 'tree']])) == ['road|street', 'sky|clouds', 'car', 'tree']


def test_classes_of_a_union_that_share_a_phrasing_are_one():
    assert load_vocabulary(dict(union=[['cat', 'dog'], ['kitty|cat', 'hen']])) == ['cat|kitty', 'dog', 'hen']
    both = dict(union=[['cat', 'dog|puppy'], ['hound|puppy|cat', 'hen'], ['cat|kitty']])  # the first known one decides
    assert load_vocabulary(both) == ['cat|kitty', 'dog|puppy|hound', 'hen']
    sets = [f'{name}+phrasings' for name in ('ade20k', 'cityscapes', 'coco-stuff', 'in1k', 'lvis-v1')]
    assert all(load_vocabulary(dict(union=pair)) for pair in permutations(sets, 2))


@pytest.mark.parametrize('name', [name for name in list_vocabularies() if '+' in name])
def test_phrasings_of_a_known_set_belong_to_its_classes(name):
    """Row k stays class k; a name is left out only where we have written plain words for it."""
    told, own = load_vocabulary(name), load_vocabulary(name.removesuffix('+phrasings'))
    assert len(told) == len(own) and sum(mine != one for mine, one in zip(own, told)) > len(told) / 4
    kept = [mine == phrasings(one)[0] for mine, one in zip(own, told)]
    assert all(kept) or ('k+' in name or 'scapes' in name or 'stuff' in name) and sum(kept) > len(own) / 2
    assert not {other for other in own} & {
        word for mine, one in zip(own, told) for word in phrasings(one) if word != mine
    }
    words = [phrasing.casefold() for one in told for phrasing in phrasings(one)]
    assert len(set(words)) == len(words)  # for most text towers capitals are no difference


@pytest.mark.parametrize(
    'names, message',
    [
        (['sky|'], 'has an empty phrasing'),
        (['|'], 'has an empty phrasing'),
        (['road', 'sky| sky'], "Name 2 .*has the phrasing 'sky' twice"),
        (['road', 'sky|Sky'], "Name 2 .*has the phrasing 'Sky' twice"),
        (['sky|clouds', 'sky | clouds'], 'twice, as names 1 and 2'),
        (['road|street', 'car', 'alley| street'], "'street' in two classes: name 1 is 'road|street', name 3 is"),
        (['street|road', 'car', 'road'], "'road' in two classes"),
    ],
)
def test_phrasings_that_cannot_be_used(names, message):
    with pytest.raises(VocabularyError, match=message):
        load_vocabulary(names)
