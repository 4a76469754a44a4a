import errno
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlgd.errors import MMLGDError
from mmlgd.run.inputs import vocabulary_of
from mmlgd.text import VocabularyError, list_vocabularies, load_vocabulary, vocabularies
from mmlgd.text.sets import METAINFO, clean, packaged_names

SIZES = dict(in1k=1000, caltech256=256, coco=80, cityscapes=19, ade20k=150) | {'lvis-v1': 1203, 'coco-stuff': 171}


@pytest.mark.parametrize('name', list_vocabularies())
def test_known_vocabularies_are_whole_andclean(name):
    names = load_vocabulary(name)
    assert len(names) == len(set(names)) == SIZES[name.partition('+')[0]]
    assert all(n == n.strip() and '_' not in n for n in names)
    # CLIP's own names keep theirs, as published
    assert 'in1k' in name or not any(set(n) & set('()') for n in names)


def test_rows_stand_in_label_order():
    assert load_vocabulary('in1k')[0] == 'tench' and load_vocabulary('in1k')[999] == 'toilet paper'
    assert load_vocabulary('coco')[0] == 'person' and load_vocabulary('coco')[79] == 'toothbrush'
    assert load_vocabulary('cityscapes')[:2] == ['road', 'sidewalk']
    assert load_vocabulary('ade20k')[7] == 'bed'
    assert load_vocabulary('caltech256')[255] == 'toad'
    assert 'bow weapon' in load_vocabulary('lvis-v1')


@pytest.mark.parametrize('name', sorted(METAINFO))
def test_the_package_holds_the_names_of_the_data_sets(name):
    module, dataset = METAINFO[name]
    metainfo = getattr(pytest.importorskip(module), dataset).METAINFO
    assert [clean(n) for n in metainfo['classes']] == packaged_names(name)


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / 'names.txt').write_text('cat\ndog')

    def refuse(file, *args):
        raise PermissionError(errno.EACCES, 'Permission denied')

    monkeypatch.setattr(vocabularies, 'read_small', refuse)  # root may read all files
    with pytest.raises(MMLGDError, match=r'names.txt cannot be read: Permission denied'):
        load_vocabulary(tmp_path / 'names.txt')


def test_a_missing_stack_leaves_the_names_of_the_package(monkeypatch):
    monkeypatch.setitem(METAINFO, 'coco', ('mmlgd.no_such_module', 'CocoDataset'))
    assert len(load_vocabulary('coco')) == 80


def test_text_files(tmp_path):
    file = tmp_path / 'names.txt'
    file.write_text('\ufeffcat\n red panda \nn01443537\tgoldfish\n\n', encoding='utf-8')
    assert load_vocabulary(str(file)) == load_vocabulary(file) == ['cat', 'red panda', 'goldfish']
    assert load_vocabulary(Path('coco')) == load_vocabulary('coco')


def test_a_union_counts_a_name_once_where_it_comes_first():
    assert load_vocabulary(dict(union=[['b', 'a'], ['c', 'a']])) == ['b', 'a', 'c']
    assert len(load_vocabulary(dict(union=['coco', 'lvis-v1']))) < 80 + 1203


@pytest.mark.parametrize(
    'vocabulary, message',
    [
        ([], 'holds no names'),
        (['cat', ''], 'Name 2 .* is empty'),
        (['cat', ' '], 'Name 2 .* is empty'),
        (['cat', 7], 'Name 2 .* is 7, a int'),
        (['cat', None], 'is None'),
        (['cat', 'dog', 'cat '], "'cat' twice, as names 1 and 3"),
        (dict(), 'holds no names'),
        (dict(cat=3), r'maps each name to a list of its other phrasings.*cat.*3'),
        ({7: ['cat']}, 'maps each name'),
        (dict(cat=[None]), 'maps each name'),
        (dict(cat='dog', dog=[]), "phrasing 'dog' in two classes"),
        (dict(union='coco'), r'dict\(union'),
        (dict(union=[['cat', 'cat']]), "'cat' twice"),
        (3, 'got int'),
        (['coco'], 'known sets or files'),
        (['coco', 'mine.txt'], r'dict\(union'),
        (['unicorn', 'coco'], r"\['coco'\] are known sets or files"),
        (['unicorn', 'mine.txt'], r"\['mine.txt'\] are known sets or files"),
        ([Path('mine')], 'known sets or files'),
        (['red\u2028panda'], r"Name 1 .* has the line separator '.u2028' .LINE SEPARATOR. in it"),
        (['red\u2029panda'], 'paragraph separator'),
        *((['cat', f'red{c}panda'], 'Name 2 .* control character') for c in '\v\f\x1c\x85'),
        *((['cat', f'c{c}at'], 'Name 2 .* invisible character') for c in '\u200b\ufeff\xad\u200f\u202e\u2066\u2060'),
        (['caf\xe9', 'cafe\u0301'], 'twice, as names 1 and 2 .they look the same'),
        (['cat', 'c\u200dat'], 'twice, as names 1 and 2 .they look the same'),
        (['cat', 'cat\ufe0f'], 'they look the same'),
        (['red panda', 'red\xa0panda'], 'they look the same'),
        (['cat', '\u200d'], 'Name 2 .* is empty'),
    ],
)
def test_unusable_vocabularies_are_refused_by_name(vocabulary, message):
    with pytest.raises(VocabularyError, match=message):
        load_vocabulary(vocabulary)


def test_a_class_may_be_called_as_a_set_is():
    with pytest.raises(VocabularyError, match=r"another word, as in 'coco.coconut'"):
        load_vocabulary(['coco', 'lime'])
    assert load_vocabulary(['coco|coconut', 'lime']) == ['coco|coconut', 'lime']


def test_words_of_all_scripts_are_names():
    """Persian joins no letters with U+200C, Malayalam and emoji join with U+200D, flags are spelled with tags."""
    names = [
        '\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645',
        '\u0d28\u0d4d\u200d',
        '\U0001f468\u200d\U0001f33e',
        '\u2764\ufe0f',
    ]
    names += [
        '\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f',
        'cafe\u0301',
        '\xe5',
        'a\u030a ring',
    ]
    assert load_vocabulary(names) == names


def test_names_that_look_the_same_count_once_in_a_union():
    assert load_vocabulary(dict(union=[['cafe\u0301', 'cat'], ['caf\xe9', 'dog']])) == ['cafe\u0301', 'cat', 'dog']


@pytest.mark.parametrize('newline', ['\n', '\r\n', '\r'])
def test_a_file_is_split_at_the_ends_of_its_lines_alone(tmp_path, newline):
    """At other characters, str.splitlines would give one name more, and all labels behind it would be wrong."""
    file = tmp_path / 'names.txt'
    file.write_bytes(newline.join(['cat', 'dog', 'tree', '', ' ', '']).encode())
    assert load_vocabulary(str(file)) == ['cat', 'dog', 'tree']
    for character in '\v\f\x1c\x1d\x1e\x85\u2028\u2029':
        file.write_bytes(newline.join(['cat', f'red{character}panda', 'tree']).encode())
        with pytest.raises(VocabularyError, match=r'Line 2 of .*names.txt has the .* in it'):
            load_vocabulary(str(file))
    file.write_bytes(f'n01\tcat{newline}n02\t{newline}'.encode())
    with pytest.raises(VocabularyError, match='Line 2 of .* is empty'):
        load_vocabulary(str(file))


def test_names_with_commas_between_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_vocabulary('sky | clouds,red box') == load_vocabulary(['sky | clouds', 'red box'])
    for text, message in (('sky,', 'empty'), ('sky,sky', 'sky'), ('coco,ade20k', 'dict.union')):
        with pytest.raises(VocabularyError, match=message):
            load_vocabulary(text)
    with pytest.raises(FileNotFoundError):  # a path with a typing error does not become class names
        load_vocabulary('my,names.txt')
    (tmp_path / 'a,b').write_text('cat\ndog\n')
    assert load_vocabulary('a,b') == ['cat', 'dog']
    assert vocabulary_of('cat,dog|puppy') == ['cat', 'dog|puppy'] and vocabulary_of('a,b') == str(tmp_path / 'a,b')


def test_unusable_files_are_refused_by_line(tmp_path):
    with pytest.raises(FileNotFoundError, match='neither a file nor one of.*two or more: `--names ball'):
        load_vocabulary(str(tmp_path / 'missing.txt'))
    file = tmp_path / 'names.txt'
    for text, message in (
        ('cat\n\ndog', 'Line 2 of .*names.txt is empty'),
        ('', 'no names'),
        ('a\na', 'lines 1 and 2'),
    ):
        file.write_text(text)
        with pytest.raises(VocabularyError, match=message):
            load_vocabulary(str(file))
    file.write_bytes(b'caf\xe9')
    with pytest.raises(VocabularyError, match='UTF-8'):
        load_vocabulary(str(file))


@given(st.lists(st.one_of(st.text(), st.none(), st.integers(), st.lists(st.text()))))
def test_a_list_gives_clean_unique_names_or_an_error_of_ours(names):
    try:
        loaded = load_vocabulary(names)
    except VocabularyError:
        return
    assert loaded == [n.strip() for n in names] and len(set(loaded)) == len(loaded) and all(loaded)


def test_a_file_without_end_is_refused(tmp_path):
    (tmp_path / 'names.txt').touch()
    os.truncate(tmp_path / 'names.txt', 2**40)
    with pytest.raises(MMLGDError, match='names.txt cannot be read: it has 1099511627776 bytes'):
        load_vocabulary(str(tmp_path / 'names.txt'))


TABLES = (
    '0 cat\n1 dog\n',
    '1. cat\n2. dog\n',
    '0:cat\n1:dog\n',
    '5 cat\n7 dog\n',
    '0,cat\n1,dog\n',
    'id,name\n0,cat\n1,dog\n',
    'cat,0\ndog,1\n',
    'cat\t0\ndog\t1\n',
    'cat 255 0 0\ndog 0 255 0\n',
    'n02121620 cat, true cat\nn02084071 dog, domestic dog\n',
)


@pytest.mark.parametrize(
    'text',
    [
        '1 euro\n2 euro\n',
        '#1 pencil\n#2 pencil\n',
        'C# code\npencil #1\n',
        '0\tcat\n1\tdog\n',
        'A 1\nB 2\n',
        'n1\nn2\n',
    ],
)
def test_numbers_in_names_are_no_table(tmp_path, text):
    file = tmp_path / 'names.txt'
    file.write_text(text)
    assert load_vocabulary(str(file)) == [line.split('\t')[-1] for line in text.splitlines()]


@pytest.mark.parametrize(
    'text, message',
    [
        (
            'cat, dog, hat\n',
            "single line with several names, 'cat, dog, hat'. .* one name a line",
        ),
        ('cat;dog', 'single line with several names'),
        ('["cat", "dog"]\n', 'is JSON.*one name a line'),
        ('{\n "names": ["cat", "dog"]\n}\n', 'is JSON'),
        ('names:\n  0: cat\n  1: dog\n', "Line 1 of .*, 'names:', is a heading, as in YAML"),
        ('train: ../images\nnames: [cat, dog]\n', 'begins with .*train.*, as YAML does'),
        ('- cat\n- dog\n', 'is an item of a list'),
        ('* cat\n* dog\n', 'is an item of a list'),
        ('cat\n# the others\ndog\n', "Line 2 of .*, '# the others', is a comment"),
        ('// names\ncat\n', 'is a comment'),
        ('cat\n#dog\nhat\n', "Line 2 of .*, '#dog', is a comment"),
        ('cat\n#\nhat\n', 'is a comment'),
        ('cat  # and kittens\ndog\n', "Line 1 of .*, 'cat  # and kittens', is a name with a comment"),
        ('cat\ndog // and puppies\n', 'Line 2 of .* is a name with a comment'),
        ('"cat",\n"dog"\n', 'is quoted'),
        ('cat,\ndog,\n', 'is followed by a separator'),
        ('cat |\tkitty\ndog\n', 'is a name with a tab between its phrasings'),
        *((text, 'is a table') for text in TABLES),
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path, text, message):
    (tmp_path / 'names.txt').write_text(text)
    with pytest.raises(VocabularyError, match=message):
        load_vocabulary(tmp_path / 'names.txt')


@pytest.mark.parametrize(
    'keys, moved', [('n02 n01', ['n02']), ('0 1 10 9', ['10']), ('n01 n02', []), ('8 9 10', []), ('', [])]
)
def test_names_that_are_not_in_the_order_of_their_keys_are_told(tmp_path, log, keys, moved):
    """Class folders that are called like the keys are sorted."""
    lines = [f'{key}\tname of {key}' for key in keys.split()] or ['dog', 'cat']
    (tmp_path / 'names.txt').write_text('\n'.join(lines))
    assert len(load_vocabulary(tmp_path / 'names.txt')) == len(lines)
    assert [re.search("of their keys: '(.+?)' stands where", one)[1] for one in log.messages] == moved


def test_commas_within_names_stay(tmp_path):
    (tmp_path / 'names.txt').write_text('tench, Tinca tinca\ngoldfish\n')
    assert load_vocabulary(tmp_path / 'names.txt') == ['tench, Tinca tinca', 'goldfish']


def test_case_makes_no_difference():
    with pytest.raises(VocabularyError, match="'cat' twice, as names 1 and 3 .as 'Cat'; text towers read lower"):
        load_vocabulary(['Cat', 'dog', 'cat'])
    with pytest.raises(VocabularyError, match="phrasing 'Road' in two classes"):
        load_vocabulary(['road|street', 'Road|asphalt', 'sky'])
    assert load_vocabulary(dict(union=[['Cat', 'dog'], ['cat', 'hat']])) == ['Cat', 'dog', 'hat']
    assert load_vocabulary(dict(Road=['road', 'street'])) == ['Road|street']
