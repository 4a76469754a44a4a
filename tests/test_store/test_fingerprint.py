import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmpretrain.datasets import CustomDataset

from mmlgd.store import SeededViews, difference, libraries, plain, probe_views, survey_images

values = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(values, values)
def test_difference_is_empty_only_for_equal_values(a, b):
    assert difference(a, plain(a)) == ''
    assert bool(difference(a, b)) == (a != b)


def test_difference_names_the_place():
    stored = dict(pipeline=[dict(type='Crop', scale=(0.2, 1.0)), dict(type='Flip')])
    here = dict(pipeline=[dict(type='Crop', scale=(0.08, 1.0)), dict(type='Flip')])
    assert difference(plain(stored), plain(here)) == '.pipeline[0].scale[0] is 0.2 in the store and 0.08 here'


def dataset(folder):
    return CustomDataset(data_root=str(folder), with_label=False, extensions=('.png',))


def test_a_survey_does_not_depend_on_where_the_folder_is(images, tmp_path):
    import shutil

    here = survey_images(dataset(images))
    assert here['count'] == 12
    moved = shutil.copytree(images, tmp_path / 'moved')
    assert survey_images(dataset(moved)) == here
    (moved / 'class0/0.png').write_bytes((moved / 'class0/0.png').read_bytes() + b' ')
    assert survey_images(dataset(moved))['sizes'] != here['sizes']
    (moved / 'class0/0.png').rename(moved / 'class0/00.png')
    assert survey_images(dataset(moved))['names'] != here['names']


@pytest.mark.parametrize('views', [1, 3, 15, 16, 60])
def test_the_probes_are_of_many_images_and_of_all_kinds_of_views(views, images):
    pipeline = [dict(type='mmlgd.LoadImageFromFile'), dict(type='mmpretrain.PackInputs')]
    probes = probe_views(
        SeededViews(dict(type='mmlgd.Images', data_root=str(images), with_label=False, pipeline=pipeline), views)
    )
    rows = [probe['row'] for probe in probes]
    assert len({row % 12 for row in rows}) == 12 and len({row // 12 for row in rows}) == min(views, 16)
    assert len(set(rows)) == len(rows) and (rows[0], rows[-1]) == (0, 12 * views - 1)


def test_a_data_set_without_files_is_refused():
    class Made:
        def __len__(self):
            return 1

        def get_data_info(self, index):
            return {}

    with pytest.raises(ValueError, match='Made has no file'):
        survey_images(Made())


def test_libraries_lists_decoders_and_augmentations():
    assert {'python', 'torch', 'pillow'} <= set(libraries())
