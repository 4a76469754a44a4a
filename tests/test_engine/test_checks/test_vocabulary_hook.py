from types import SimpleNamespace

import pytest
from mmengine.dataset import ConcatDataset
from mmpretrain.datasets import CustomDataset

from mmlgd.datasets import Images
from mmlgd.engine import VocabularyCheckHook
from mmlgd.errors import ConfigError


def runner(dataset):
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))
    model = SimpleNamespace(class_names=['cat', 'dog'])
    return SimpleNamespace(model=model, _val_loop=loop, _test_loop=None)


def listed(classes):
    """A data set whose labels are in a list."""
    return SimpleNamespace(metainfo={} if classes is None else dict(classes=classes), data_root='data/birds')


def folders(root, names, kind=CustomDataset, **settings):
    for name in names:
        (root / name).mkdir()
        (root / name / '1.jpg').touch()
    return kind(data_root=str(root), **settings)


# Numbers in a list of the user's are in the order that the user chose.
@pytest.mark.parametrize('classes', [None, ('a', 'b'), ('Cat', 'dog'), ('dog', 'dog'), ('9', '10'), ('10', '9')])
def test_sets_that_fit_or_know_no_classes_pass(classes):
    VocabularyCheckHook().before_run(runner(listed(classes)))


def test_another_number_of_classes_is_refused_before_the_run():
    with pytest.raises(ValueError, match="'data/birds' has 3 classes, but the vocabulary has 2 names"):
        VocabularyCheckHook().before_run(runner(listed(('a', 'b', 'c'))))


def test_names_in_another_order_are_refused_before_the_run():
    """Label k would have the name of another class."""
    for classes in (('Dog', 'cat'), ('Dog', 'b')):
        with pytest.raises(ConfigError, match="birds' has 'Dog' as its label 0, but the vocabulary has 'cat' there"):
            VocabularyCheckHook().before_run(runner(listed(classes)))


def test_each_of_several_joined_sets_is_compared():
    """mmdetection's ConcatDataset then has a list in place of METAINFO."""
    one, other = listed(('cat', 'dog')), listed(('dog', 'cat'))
    joined = SimpleNamespace(datasets=[one, other], metainfo=[one.metainfo, other.metainfo])
    with pytest.raises(ConfigError, match="'dog' as its label 0"):
        VocabularyCheckHook().before_run(runner(joined))
    joined.datasets[1] = one
    VocabularyCheckHook().before_run(runner(joined))


def test_class_folders_count_and_not_the_classes_beside_them(tmp_path):
    """mmpretrain labels folders in the order of their letters, whatever `classes` it is given."""
    dataset = folders(tmp_path, ['Cat', 'Dog'], classes=['dog', 'cat'])
    assert dataset.folder_to_idx == dict(Cat=0, Dog=1)
    run = runner(ConcatDataset([dataset]))
    run.model.class_names = ['dog', 'cat']
    with pytest.raises(ConfigError, match="'?Cat'? as its label 0, but the vocabulary has '?dog'? there"):
        VocabularyCheckHook().before_run(run)
    run.model.class_names = ['cat', 'dog']
    dataset._metainfo['classes'] = ('cat', 'dog')
    VocabularyCheckHook().before_run(run)


@pytest.mark.parametrize('settings', [{}, dict(classes=['9', '10']), dict(classes=['cat', 'dog'])])
def test_numbered_folders_in_the_order_of_their_letters_are_refused_before_the_run(tmp_path, settings):
    """`mmlgd evaluate` counts them by their number, as our own data set does."""
    dataset = folders(tmp_path, ['10', '9'], **settings)
    with pytest.raises(ConfigError, match="has numbered class folders, and its labels have '?10'? before '?9.*Images'"):
        VocabularyCheckHook().before_run(runner(dataset))
    for classes in (None, ['10', '9'], ['9', '10']):
        ours = Images(data_root=str(tmp_path), classes=classes)
        assert ours.folder_to_idx == ({'10': 0, '9': 1} if classes == ['10', '9'] else {'9': 0, '10': 1})
        VocabularyCheckHook().before_run(runner(ours))
