"""Starts are read, and their files looked for, before anything that takes time."""

import pytest

from mmlgd.errors import MissingFileError
from mmlgd.studies.starts import read_starts


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
