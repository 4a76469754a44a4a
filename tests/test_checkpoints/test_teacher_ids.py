"""Teachers are the same by their weights and settings, not by names; and a checkpoint brings none from anywhere."""

import pytest

from mmlgd.checkpoints.files import CheckpointError
from mmlgd.checkpoints.teacher_ids import same_teacher, teacher_key, teacher_to_build

A, B = '862b8088f3200a8b', '0000000000000000'
CONSE = 'conse/mmpretrain:/home/me/net.py/top10/visual0.9/classes-01234567'


@pytest.mark.parametrize(
    'one, other, same',
    [
        # As zoo/*.pth and stores of earlier versions have it, and as it is now.
        (
            f'open_clip/local-dir:work_dirs/demo/teacher/openai/{A}',
            f'open_clip/local-dir:/abs/teacher/openai/{A}',
            True,
        ),
        (f'open_clip/local-dir:x/openai/{A}', f'open_clip/local-dir:x/settings-89abcdef/{A}', True),
        (f'open_clip/local-dir:x/openai/{A}', f'open_clip/local-dir:x/settings-89abcdef/{B}', False),
        (f'open_clip/RN50/openai/{A}', f'open_clip/RN50/openai/{B}', False),
        (f'open_clip/RN50/openai/settings-89abcdef/{A}', f'open_clip/RN50/RN50.pt/settings-89abcdef/{A}', True),
        (f'open_clip/RN50/openai/settings-89abcdef/{A}', f'open_clip/RN50/openai/settings-00000000/{A}', False),
        (f'{CONSE}/{A}', f'conse/mmpretrain:net.py/top10/visual0.9/classes-01234567/settings-89abcdef/{A}', True),
        (f'{CONSE}/{A}', f'conse/mmpretrain:net.py/top5/visual0.9/classes-01234567/settings-89abcdef/{A}', False),
        (f'{CONSE}/{A}', f'conse/mmpretrain:net.py/top10/classes-01234567/settings-89abcdef/{A}', False),
        (f'{CONSE}/{A}', f'{CONSE.replace("01234567", "11111111")}/{A}', False),
        (f'conse/x/top1/classes-01234567/{A}', f'open_clip/RN50/openai/{A}', False),
        (f'tips/vit/settings-89abcdef/{A}', f'tips/vit_large/settings-89abcdef/{A}', True),
        (f'radio/vit-siglip2-g/settings-89abcdef/{A}', f'radio/vit-siglip2-g/settings-00000000/{A}', False),
        (f'tips/vit/settings-89abcdef/{A}', f'radio/vit/settings-89abcdef/{A}', False),
        ('mine/one', 'mine/one', True),
        ('mine/one', f'open_clip/RN50/openai/{A}', False),
    ],
)
def test_teachers_are_compared_without_names_and_places(one, other, same):
    assert same_teacher(one, other) == same_teacher(other, one) == same


def test_caches_are_keyed_by_what_is_compared_and_old_files_are_found():
    old = f'open_clip/RN50/openai/{A}'
    assert teacher_key(old) == old
    new = f'open_clip/RN50/openai/settings-89abcdef/{A}'
    assert teacher_key(new) == teacher_key(f'open_clip/local-dir:x/settings-89abcdef/{A}') != teacher_key(old)
    assert teacher_key(new) != teacher_key(new.replace('89abcdef', '00000000'))


@pytest.mark.parametrize(
    'settings',
    [
        dict(type='mmlgd.OpenCLIPTeacher', model='RN50', pretrained='openai'),
        dict(type='mmlgd.OpenCLIPTeacher', model='RN50', pretrained=None, compile=True),
        dict(type='mmlgd.ConSETeacher', classifier='mmpretrain:resnet50_8xb32_in1k', weights=True, image_size=(8, 8)),
        dict(type='mmlgd.ConSETeacher', class_names=['bow / arrow', 'local-dir:x'], templates='plain'),
        dict(type='mmlgd.ConSETeacher', templates='a photo/drawing of a {}.'),
        dict(type='mmlgd.ConSETeacher', class_names=','.join(f'name {k}' for k in range(100))),  # too long for a path
    ],
)
def test_names_known_to_the_libraries_are_accepted(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ('openai', 'RN50'):  # of the reader's own; no library takes them for weights
        (tmp_path / folder).mkdir()
    assert teacher_to_build(settings) == settings


def test_a_store_is_accepted_but_the_place_of_its_teacher_is_refused():
    """What is known of that comes from the store, when it is asked, and from the caller."""
    told = dict(type='mmlgd.CachedTeacher', store='/my/store', teacher=dict(model='local-dir:/theirs'))
    assert teacher_to_build(told) == dict(told, teacher={})
    named = teacher_to_build(told, dict(store='/moved', model='local-dir:/mine'))
    assert named == dict(told, store='/moved', teacher=dict(model='local-dir:/mine'))
    with pytest.raises(CheckpointError, match='has a teacher with model='):
        teacher_to_build(dict(type='mmlgd.OpenCLIPTeacher', store='/my/store', model='local-dir:/theirs'))


@pytest.mark.parametrize(
    'key, value',
    [
        ('model', 'local-dir:clip'),
        ('model', 'hf-hub:org/name'),
        ('pretrained', '/x/weights.pt'),
        ('pretrained', 'here.pt'),
        ('pretrained', 'openai:here.pt'),
        ('cache_dir', '~/x'),
        ('classifier', 'timm:hf_hub:name'),
        ('classifier', 'timm:local-dir:x'),
        ('weights', 'https://example.org/x.pth'),
        ('weights', 'folder'),
        ('text_encoder', 'org/name'),
        ('text_encoder', '..\\x'),
        ('class_names', dict(union=['in1k', '/x/names.txt'])),
        ('anything', dict(deep=dict(er='/x'))),
    ],
)
def test_places_have_to_be_named(key, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'here.pt').touch()
    (tmp_path / 'folder').mkdir()
    told = dict(type='mmlgd.AnyTeacher', **{key: value})
    with pytest.raises(
        CheckpointError, match=rf'ours.pth has a teacher with {key}=.*--teacher-options {key}='
    ) as error:
        teacher_to_build(told, dict(other='/mine'), 'ours.pth')
    assert f'teacher=dict({key}=' in str(error.value)
    assert teacher_to_build(told, dict(other='/mine'), only_read=True) == {**told, 'other': '/mine'}
    assert teacher_to_build(told, {key: '/mine'}) == {**told, key: '/mine'}
    assert teacher_to_build(told, dict(type='mmlgd.ConSETeacher')) == dict(type='mmlgd.ConSETeacher')
