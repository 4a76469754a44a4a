"""The evaluation of a pre-training while it runs."""

import pytest

from mmlgd.errors import ConfigError, MissingFileError
from mmlgd.run.watched import class_folders, evaluation_settings, labels_of, reason

NAMES = ['cat', 'dog|hound', 'tree']


def folder(root, *files):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def settings(val, tmp_path, epochs=40):
    return evaluation_settings(val, tmp_path / 'images', NAMES, epochs, batch_size=16, workers=2)


def metrics(found):
    return [metric['type'].split('.')[1] for metric in found['val_evaluator']]


@pytest.mark.parametrize('folders', [('cat', 'dog', 'tree'), ('n1', 'n2', 'n3')])
def test_a_class_folder_for_each_name_gives_labels(tmp_path, folders):
    val = folder(tmp_path / 'val', *(f'{name}/1.jpg' for name in folders))
    found = settings(val, tmp_path)
    assert found['val_dataloader']['dataset']['classes'] == [*folders]
    assert metrics(found) == ['Accuracy', 'MultiTasksMetric', 'DistillationMetric']
    assert f"class folder '{folders[0]}' is 'cat'" in reason(found, val, NAMES)


@pytest.mark.parametrize(
    'files', [('1.jpg', '2.png'), ('cat/1.jpg', 'dog/1.jpg'), ('a/1.jpg', 'b/1.jpg', 'c/1.jpg', '1.jpg')]
)
def test_other_folders_have_none(tmp_path, files):
    val = folder(tmp_path / 'val', *files)
    found = settings(val, tmp_path)
    assert found['val_dataloader']['dataset']['with_label'] is False and metrics(found) == ['DistillationMetric']
    assert 'without labels: images with labels lie in a class folder for each of the 3 names' in reason(
        found, val, NAMES
    )


def test_a_run_has_about_ten_evaluations(tmp_path):
    val = folder(tmp_path / 'val', '1.jpg')
    assert [settings(val, tmp_path, epochs)['train_cfg']['val_interval'] for epochs in (1, 9, 10, 200)] == [1, 1, 1, 20]
    every = [reason(settings(val, tmp_path, epochs), val, NAMES) for epochs in (1, 200)]
    assert 'every epoch, ' in every[0] and 'every 20 epochs, ' in every[1]


@pytest.mark.parametrize(
    'place, files, error, message',
    [
        ('nowhere', [], MissingFileError, 'no folder at'),
        ('val', ['notes.txt'], MissingFileError, 'ends with'),
        ('images', ['1.jpg'], ConfigError, 'not apart'),
        ('images/val', ['1.jpg'], ConfigError, 'not apart'),
        ('.', ['1.jpg'], ConfigError, 'not apart'),
    ],
)
def test_what_cannot_be_evaluated_is_refused(tmp_path, place, files, error, message):
    (tmp_path / 'images').mkdir()
    folder(tmp_path / place, *files)
    with pytest.raises(error, match=message):
        settings(tmp_path / place, tmp_path)


def test_folders_called_like_the_names_follow_their_order(tmp_path):
    val = folder(tmp_path / 'val', 'cat/1.jpg', 'dog/1.jpg', 'tree/1.jpg')
    names = ['tree|oak', 'dog', 'cat']
    found = evaluation_settings(val, tmp_path / 'images', names, 10, 16, 0)
    assert found['val_dataloader']['dataset']['classes'] == class_folders(val, names) == ['tree', 'dog', 'cat']
    assert labels_of(['tree/1.jpg', 'cat/1.jpg'], class_folders(val, names)) == [0, 2]
    assert "class folder 'tree' is 'tree|oak', 'dog' is 'dog'" in reason(found, val, names)


def test_an_empty_folder_moves_no_label(tmp_path):
    """Labels follow the folders that have images: another one before them counted as a class without a word."""
    val = folder(tmp_path / 'val', 'cat/1.jpg', 'dog/1.jpg', 'tree/1.jpg')
    (val / 'another').mkdir()
    folders = class_folders(val, NAMES)
    assert folders == ['cat', 'dog', 'tree'] and labels_of(['tree/1.jpg', 'cat/1.jpg'], folders) == [2, 0]
    assert "class folder 'cat' is 'cat'" in reason(settings(val, tmp_path), val, NAMES)
