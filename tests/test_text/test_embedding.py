import os
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mmlgd.text import embed_class_names
from tests import children


class Tower:
    """A text tower that counts its calls."""

    def __init__(self, dim=8):
        self.dim, self.prompts = dim, []

    def __call__(self, prompts):
        self.prompts += prompts
        rows = [torch.randn(self.dim, generator=torch.Generator().manual_seed(len(p) + ord(p[0]))) for p in prompts]
        return torch.nn.functional.normalize(torch.stack(rows), dim=-1)


def test_a_restart_reads_what_the_first_start_computed(tmp_path):
    first, second = Tower(), Tower()
    arguments = (8, 'teacher-1', ['cat', 'dog'], ['a {}', 'the {}'], str(tmp_path))
    rows = embed_class_names(first, *arguments)
    assert first.prompts == ['a cat', 'the cat', 'a dog', 'the dog']
    assert torch.equal(embed_class_names(second, *arguments), rows) and not second.prompts


def test_names_that_are_one_to_the_teacher_are_told(tmp_path, log):
    def in_small_letters(prompts):
        return Tower()([prompt.lower() for prompt in prompts])

    for _ in range(2):  # also if the rows are read
        log.clear()
        embed_class_names(in_small_letters, 8, 'teacher-1', ['Panda', 'cat', 'panda'], ['{}'], str(tmp_path))
        (told,) = [record.getMessage() for record in log.records if record.levelname == 'WARNING']
        assert "cannot tell them apart: 'Panda' and 'panda' (1 in all)" in told
    log.clear()
    embed_class_names(Tower(), 8, 'teacher-1', ['Panda', 'cat'], ['{}'], str(tmp_path))
    assert not [record for record in log.records if record.levelname == 'WARNING']


def test_embeddings_of_a_store_are_read_first_and_never_written(tmp_path):
    arguments, tower = (8, 'teacher-1', ['cat'], ['a {}']), Tower()
    rows = embed_class_names(Tower(), *arguments, str(tmp_path / 'kept'))
    assert torch.equal(embed_class_names(tower, *arguments, str(tmp_path / 'cache'), str(tmp_path / 'kept')), rows)
    assert not tower.prompts and not (tmp_path / 'cache').exists()
    embed_class_names(tower, 8, 'teacher-1', ['dog'], ['a {}'], str(tmp_path / 'cache'), str(tmp_path / 'kept'))
    assert tower.prompts and len(list((tmp_path / 'kept/text').iterdir())) == 1


def test_the_key_is_teacher_names_and_templates(tmp_path):
    base = [8, 'teacher-1', ['cat', 'dog'], ['a {}']]
    for i, other in enumerate(('teacher-2', ['dog', 'cat'], ['the {}']), start=1):
        embed_class_names(Tower(), *base, str(tmp_path))
        tower = Tower()
        embed_class_names(tower, *(other if k == i else part for k, part in enumerate(base)), str(tmp_path))
        assert tower.prompts


def test_a_damaged_file_is_computed_anew(tmp_path):
    arguments = (8, 'teacher-1', ['cat'], ['a {}'], str(tmp_path))
    rows = embed_class_names(Tower(), *arguments)
    (file,) = (tmp_path / 'text').iterdir()
    file.write_bytes(file.read_bytes()[:20])
    tower = Tower()
    assert torch.equal(embed_class_names(tower, *arguments), rows) and tower.prompts
    assert [f.name for f in (tmp_path / 'text').iterdir()] == [file.name]  # whole again, and nothing left beside it


@pytest.mark.parametrize('damage', ['one bit', 'other shape', 'no tensor', 'empty', 'a folder'])
def test_other_damage_is_computed_anew_as_well(tmp_path, damage):
    arguments = (8, 'teacher-1', ['cat', 'dog'], ['a {}'], str(tmp_path))
    rows = embed_class_names(Tower(), *arguments)
    (file,) = (tmp_path / 'text').iterdir()
    if damage == 'one bit':
        file.write_bytes(file.read_bytes()[:-1] + bytes([file.read_bytes()[-1] ^ 1]))
    elif damage == 'other shape':
        save_file(dict(embeddings=torch.eye(3)), file)
    elif damage == 'no tensor':
        save_file(dict(rows=rows), file)
    else:
        file.unlink()
        file.mkdir() if damage == 'a folder' else file.touch()
    tower = Tower()
    assert torch.equal(embed_class_names(tower, *arguments), rows) and tower.prompts


def test_a_file_of_an_earlier_version_is_read(tmp_path):
    arguments = (8, 'teacher-1', ['cat', 'dog'], ['a {}'], str(tmp_path))
    rows = embed_class_names(Tower(), *arguments)
    (file,) = (tmp_path / 'text').iterdir()
    save_file(load_file(file), file)  # without a checksum
    tower = Tower()
    assert torch.equal(embed_class_names(tower, *arguments), rows) and not tower.prompts


ARGUMENTS = (8, 'teacher-1', ['cat', 'dog'], ['a {}'])


def embed(folder, out=None, times=1, fault=None, *details):
    if fault is not None:
        fault(*details)
    for _ in range(times):
        rows = embed_class_names(Tower(), *ARGUMENTS, str(folder))
        for file in Path(folder, 'text').glob('*.safetensors') if times > 1 else ():
            file.unlink(missing_ok=True)
    if out:
        torch.save(rows, out)


@children.in_one_worker
def test_two_runs_that_fill_the_cache_at_once_agree(tmp_path):
    runs = [
        children.Child(embed, tmp_path / 'cache', tmp_path / f'{k}.pth', 100, log=tmp_path / 'log') for k in range(3)
    ]
    said = [run.wait() for run in runs]
    assert [code for code, _ in said] == [0, 0, 0], said[0][1][-3000:]
    expected = embed_class_names(Tower(), *ARGUMENTS, str(tmp_path / 'other'))
    assert all(torch.equal(torch.load(tmp_path / f'{k}.pth'), expected) for k in range(3))
    assert not list((tmp_path / 'cache').rglob('*.part'))


@children.in_one_worker
def test_a_run_killed_while_it_fills_the_cache_leaves_nothing_that_is_read(tmp_path):
    code, log = children.run(embed, tmp_path, None, 1, children.die_in_write, '*.part', log=tmp_path / 'log')
    assert code == -9, log
    assert not list((tmp_path / 'text').glob('*.safetensors'))
    expected = embed_class_names(Tower(), *ARGUMENTS, str(tmp_path / 'other'))
    assert torch.equal(embed_class_names(Tower(), *ARGUMENTS, str(tmp_path)), expected)


@children.in_one_worker
@pytest.mark.skipif(os.geteuid() != 0, reason='takes root, to become somebody who may not write')
def test_a_cache_of_somebody_else_is_read_or_done_without(tmp_path):
    folder = Path(tempfile.mkdtemp())  # the tests' own is closed to others
    try:
        folder.chmod(0o755)
        code, log = children.run(children.as_nobody, embed, folder, log=tmp_path / 'first')
        assert code == 0 and log.count('Cannot keep the text embeddings in') == 1 and 'Permission denied' in log
        assert not list(folder.iterdir())
        embed(folder)
        code, log = children.run(children.as_nobody, embed, folder, log=tmp_path / 'second')
        assert code == 0 and 'Text embeddings of 2 names read from' in log and 'Encoding' not in log
    finally:
        shutil.rmtree(folder)


def test_a_cache_that_cannot_be_written_costs_only_the_cache(tmp_path):
    (tmp_path / 'text').write_text('a file where a folder should be')
    assert embed_class_names(Tower(), 8, 'teacher-1', ['cat'], ['a {}'], str(tmp_path)).shape == (1, 8)


@pytest.mark.parametrize('value', [0.0, float('nan'), float('inf')])
def test_an_unusable_embedding_is_refused_by_teacher_class_and_prompt(value, tmp_path):
    """One prompt of several: their mean would hide a zero."""

    def tower(prompts):
        return torch.stack([torch.full((4,), value if p == 'the dog' else 0.5) for p in prompts])

    with pytest.raises(ValueError, match="for the class 'dog': that of 'the dog' is zero.*teacher-1"):
        embed_class_names(tower, 4, 'teacher-1', ['cat', 'dog'], ['a {}', 'the {}'], str(tmp_path))
    assert not list(tmp_path.rglob('*.safetensors'))


@pytest.mark.parametrize('rounding', [0.0, 1e-7])
def test_prompts_that_cancel_each_other_out_are_refused(tmp_path, rounding):
    def tower(prompts):
        return torch.stack([torch.full((4,), 0.5 + rounding if p == 'a cat' else -0.5) for p in prompts])

    with pytest.raises(ValueError, match="'cat': those of its prompts cancel each other out"):
        embed_class_names(tower, 4, 'teacher-1', ['cat'], ['a {}', 'the {}'], str(tmp_path))


@pytest.mark.parametrize('rows', [torch.zeros(2, 8), torch.full((2, 8), float('nan')), torch.ones(3, 8)])
def test_cached_rows_that_are_no_embeddings_are_computed_anew(rows, tmp_path):
    arguments = (8, 'teacher-1', ['cat', 'dog'], ['a {}'], str(tmp_path))
    expected = embed_class_names(Tower(), *arguments)
    (file,) = (tmp_path / 'text').iterdir()
    save_file({'embeddings': rows}, file)
    assert torch.equal(embed_class_names(Tower(), *arguments), expected)
    assert torch.equal(load_file(file)['embeddings'], expected)


def test_a_cache_that_leads_outside_is_not_written(tmp_path):
    (tmp_path / 'outside').mkdir()
    (tmp_path / 'cache').mkdir()
    (tmp_path / 'cache/text').symlink_to(tmp_path / 'outside')
    rows = embed_class_names(Tower(), 8, 'teacher-1', ['cat'], ['a {}'], str(tmp_path / 'cache'))
    assert rows.shape == (1, 8) and not list((tmp_path / 'outside').iterdir())
