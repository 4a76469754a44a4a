"""Lists of few labels: SimCLR's, converted, and drawn ones that are balanced and the same everywhere."""

import runpy
import sys
from collections import Counter
from pathlib import Path

import pytest
from mmpretrain.datasets import CustomDataset

from mmlgd.datasets.label_subset import draw, from_list
from tests import ROOT

SEED_3 = [
    'n01/n01_0.JPEG 0',
    'n01/n01_1.JPEG 0',
    'n02/deep/er/n02_13.JPEG 1',
    'n02/n02_4.JPEG 1',
    'n03/n03_23.JPEG 2',
    'n03/n03_3.JPEG 2',
]
TOOL = ROOT / 'tools/dataset_converters/label_subset.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Three classes of 10, 20 and 40 images, one of them in sub-folders; empty files do."""
    root = tmp_path_factory.mktemp('train')
    for name, count in (('n03', 40), ('n01', 10), ('n02', 20)):
        for k in range(count):
            file = root / name / ('deep/er' if name == 'n02' and k % 2 else '') / f'{name}_{k}.JPEG'
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        (root / name / 'notes.txt').touch()
    return root


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name='__main__')


def count(lines):
    return dict(Counter(line.rsplit(' ', 1)[1] for line in lines))


def test_simclr_list(folder, tmp_path, monkeypatch, capsys):
    (tmp_path / '1percent.txt').write_text('n03_7.JPEG\nn01_2.JPEG\nn03_0.JPEG\n')
    out = tmp_path / 'meta/train_1percent.txt'
    run(monkeypatch, folder, '--list', tmp_path / '1percent.txt', '--out', out)
    assert out.read_text() == 'n03/n03_7.JPEG 2\nn01/n01_2.JPEG 0\nn03/n03_0.JPEG 2\n'
    assert '3 images of 2 classes' in capsys.readouterr().out
    dataset = CustomDataset(data_prefix=str(folder), ann_file=str(out))
    assert [int(label) for label in dataset.get_gt_labels()] == [2, 0, 2]
    assert Path(dataset[1]['img_path']).is_file()


def test_simclr_list_of_another_folder(folder, tmp_path):
    (tmp_path / 'list.txt').write_text('n03_7.JPEG\nn09_1.JPEG\nn01_99.JPEG\n')
    with pytest.raises(FileNotFoundError, match='2 of the 3 images .* n09/n09_1.JPEG, n01/n01_99.JPEG'):
        from_list(folder, tmp_path / 'list.txt')


def test_a_share_of_each_class(folder):
    lines = draw(folder, percent=10)
    assert count(lines) == {'0': 1, '1': 2, '2': 4}
    assert len(set(lines)) == 7
    assert all((folder / line.rsplit(' ', 1)[0]).is_file() for line in lines)
    assert count(draw(folder, percent=1)) == {'0': 1, '1': 1, '2': 1}  # at least one
    assert count(draw(folder, percent=100)) == {'0': 10, '1': 20, '2': 40}


def test_the_same_number_of_each_class(folder):
    assert count(draw(folder, per_class=8)) == {'0': 8, '1': 8, '2': 8}
    with pytest.raises(ValueError, match='n01 has 10 images, fewer than 11'):
        draw(folder, per_class=11)


def test_the_draw_is_the_same_on_every_machine(folder):
    """These very files: Python promises the numbers that a seed gives, in all its versions."""
    assert draw(folder, per_class=2, seed=3) == SEED_3
    assert draw(folder, per_class=2, seed=4) != SEED_3


def test_more_labels_hold_the_fewer(folder):
    few, more = (set(draw(folder, per_class=n)) for n in (2, 6))
    assert few < more


@pytest.mark.parametrize('percent', [0, -1, 101])
def test_shares_out_of_range_are_refused(folder, percent):
    with pytest.raises(ValueError, match='percentage in'):
        draw(folder, percent=percent)


def test_a_folder_without_classes_is_named(tmp_path):
    for root in (tmp_path, tmp_path / 'nowhere'):
        with pytest.raises(FileNotFoundError, match='Expected class folders in'):
            draw(root, percent=1)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='no images in .*empty'):
        draw(tmp_path, percent=1)
