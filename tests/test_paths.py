"""Names out of files do not choose folders: checkpoints, lists, class names, addresses."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import mmlgd
from mmlgd.datasets.label_subset import from_list
from mmlgd.errors import MMLGDError
from mmlgd.student.images import ImageSource, find_images, output_files
from mmlgd.text import embed_class_names
from tests import ROOT
from tests.shards import pack
from tests.words import change_words

TOOLS = ROOT / 'tools'
NAMES = ['../../escaped', '/escaped', 'a/../../../escaped', '..', 'c:\\escaped', 'a/b', 'two\\..\\..\\escaped']


def everything(root):
    return {path.relative_to(root).as_posix() for path in root.rglob('*')}


@pytest.mark.parametrize('name', NAMES)
def test_a_checkpoint_does_not_name_its_published_file(name, lgd_checkpoint, tmp_path):
    content = torch.load(lgd_checkpoint, weights_only=True)
    content['meta']['experiment_name'] = f'{name}_20260102_030405'
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(MMLGDError, match='not a file name'):
        mmlgd.publish(tmp_path / 'a.pth', tmp_path / 'deep/zoo')
    assert everything(tmp_path) == {'a.pth'}


@pytest.mark.parametrize('name', NAMES)
def test_class_names_and_teachers_are_no_paths(name, tmp_path):
    def tower(prompts):
        return nn.functional.normalize(torch.arange(1.0, 9).repeat(len(prompts), 1))

    embed_class_names(tower, 8, name, [name, 'cat'], [f'{name} {{}}'], str(tmp_path / 'deep/cache'))
    (file,) = [path for path in tmp_path.rglob('*') if path.is_file()]
    assert file.parent == tmp_path / 'deep/cache/text'


def test_drawn_images_stay_in_their_folder(lgd_checkpoint, tmp_path):
    content = torch.load(lgd_checkpoint, weights_only=True)
    change_words(content, class_names=NAMES[:5])
    torch.save(content, tmp_path / 'a.pth')
    (tmp_path / 'in/sub').mkdir(parents=True)
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / 'in/sub/x.png')
    before = everything(tmp_path)
    inferencer = mmlgd.ZeroShotInferencer(tmp_path / 'a.pth', device='cpu')
    assert inferencer.classes == NAMES[:5]
    inferencer(str(tmp_path / 'in'), show_dir=tmp_path / 'deep/out')
    assert everything(tmp_path) - before == {'deep', 'deep/out', 'deep/out/sub', 'deep/out/sub/x.png'}


@pytest.mark.parametrize('tail', ['/..', '/a/..', '/', '', '/a\\..\\..\\b.png', '/x.png', '/..%2f..%2fx.png'])
def test_addresses_of_images_stay_there_too(tail, tmp_path):
    (target,) = output_files(find_images(f'http://host{tail}'), tmp_path / 'out')
    assert target.parent == tmp_path / 'out' and '\\' not in target.name and target.suffix == '.png'


@pytest.mark.parametrize('name', NAMES)
def test_names_in_a_shard_stay_there_too(name, tmp_path):
    pack(tmp_path / 'deep/a.tar', {f'{name}/x.png': b'', 'y.png': b''})
    first, second = output_files(find_images(tmp_path / 'deep/a.tar'), tmp_path / 'out')
    assert (tmp_path / 'out/a') in first.resolve().parents and first.name.endswith('x.png')
    assert second == tmp_path / 'out/a/y.png'


def test_images_of_one_name_have_a_file_each(tmp_path):
    names = ['a_2.jpg', 'a.jpg', 'a.png', 'a.gif', 'a_3.jpg']
    targets = output_files([ImageSource(f'{k}/{name}', name) for k, name in enumerate(names)], tmp_path)
    assert len(set(targets)) == len(names) and [one.stem for one in targets[:2]] == ['a_2', 'a']


@pytest.mark.parametrize('line', ['../../secret_1.JPEG', 'n01/../../secret_1.JPEG', '/n01/x_1.JPEG', 'n01/n01_1.JPEG'])
def test_a_list_of_labelled_images_names_those_of_its_folder(line, tmp_path):
    (tmp_path / 'train/n01').mkdir(parents=True)
    (tmp_path / 'train/n01/n01_1.JPEG').touch()
    (tmp_path / 'secret_1.JPEG').touch()
    (tmp_path / 'list.txt').write_text('n01_1.JPEG\n')
    assert from_list(tmp_path / 'train', tmp_path / 'list.txt') == ['n01/n01_1.JPEG 0']
    (tmp_path / 'list.txt').write_text(line)
    with pytest.raises(FileNotFoundError, match='are not in'):
        from_list(tmp_path / 'train', tmp_path / 'list.txt')
