"""What all figures share: where they go, and what they are of."""

import pytest

import mmlgd
from mmlgd.errors import MMLGDError
from mmlgd.utils.files import WriteError
from tests.disks import full_after


@pytest.mark.parametrize('draw', ['draw_map', 'draw_neighbours'])
@pytest.mark.parametrize('out, message', [('figure', "ends with ''"), ('a.txt', "ends with '.txt'"), ('.', 'a folder')])
def test_what_no_figure_goes_into_is_refused_before_the_work(draw, out, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MMLGDError, match=f'A figure goes into a file such as .*{message}'):
        getattr(mmlgd, draw)('none.pth', 'images', out=out)


def test_a_full_disk_leaves_an_older_figure(lgd_checkpoint, tmp_path):
    (figure,) = mmlgd.draw_banks(lgd_checkpoint, out_dir=tmp_path)
    older = figure.read_bytes()
    with full_after(2000), pytest.raises(WriteError, match='Cannot write .*banks.png'):
        mmlgd.draw_banks(lgd_checkpoint, out_dir=tmp_path)
    assert figure.read_bytes() == older and list(tmp_path.iterdir()) == [figure]


def test_one_file_is_taken_for_a_list_of_one(lgd_checkpoint, images, tmp_path):
    mmlgd.draw_neighbours(lgd_checkpoint, images / 'class0', max_images=1, out=tmp_path / 'a.pdf')
    assert (tmp_path / 'a.pdf').read_bytes().startswith(b'%PDF')
    for one in (lgd_checkpoint, str(lgd_checkpoint)):
        assert mmlgd.draw_banks(one, out_dir=tmp_path) == [tmp_path / 'banks.png']
    with pytest.raises(MMLGDError, match='at least one checkpoint'):
        mmlgd.draw_banks([], out_dir=tmp_path)
    with pytest.raises(MMLGDError, match='a.pdf'):
        mmlgd.draw_banks(lgd_checkpoint, out_dir=tmp_path / 'a.pdf')
