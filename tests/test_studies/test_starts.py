"""Starts are read, and their files looked for, before anything that takes time."""

from pathlib import Path

import pytest

from mmlgd.errors import MissingFileError
from mmlgd.studies.starts import Start, read_starts


def test_a_student_has_to_be_there_for_each_seed(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'own_0.pth').touch()
    starts = ['random=none', 'own=~/own_{seed}.pth', 'named=torchvision://resnet18']
    found = read_starts(starts, '', [0])
    assert found['own'].words(0) == ['--student', str(tmp_path / 'own_0.pth')]  # no shell has replaced the ~
    with pytest.raises(MissingFileError, match='own_1.pth.* the start own, seed 1: give a file'):
        read_starts(starts, '', [0, 1])
    with pytest.raises(MissingFileError, match='is a folder, .* the start own, seed 0'):
        read_starts([f'own={tmp_path}'], '', [0])


def test_the_weights_of_a_guide_are_found_in_each_way_to_name_them(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    folder = tmp_path / 'mine [1]'
    folder.mkdir()
    files = {str(file) for file in (folder / 'open_clip_config.json', folder / 'a.bin', tmp_path / 'a:b.pt')}
    for file in files:
        Path(file).write_text(file)
    guides = f'local-dir:{folder}', 'RN50:openai:~/a:b.pt', f'local-dir:{folder}+timm:resnet18', 'RN50', 'conse'
    found = [{*Start('none', ('--guide', guide), None).weights()} for guide in guides]
    its, alone = {file for file in files if 'mine' in file}, {str(tmp_path / 'a:b.pt')}
    assert found == [its, alone, its, set(), set()]
