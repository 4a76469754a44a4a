"""The benchmark of reading runs on a few images."""

import json

import cv2
import pytest
import torch

from tests.scripts import script


@pytest.fixture
def main():
    threads = torch.get_num_threads(), cv2.getNumThreads()
    yield script('benchmarks/loading').main
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])


def test_it_times_both(main, images, tmp_path, capsys):
    out = tmp_path / 'loading.json'
    arguments = ['--images', images, '--batch', 4, '--rounds', 2, '--warmup', 0, '--device', 'cpu', '--json', out]
    main([*map(str, arguments)])
    assert '| mmlgd.LoadImageFromFile |' in capsys.readouterr().out
    seconds = json.loads(out.read_text())['seconds']
    assert list(seconds) == ['mmcv.LoadImageFromFile', 'mmlgd.LoadImageFromFile']
    assert all(len(times) == 2 and min(times) > 0 for times in seconds.values())


def test_wrong_folders(main, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(['--images', str(tmp_path / 'nowhere')])
    assert 'expects a folder' in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match=r'no file that ends with \.jpg'):
        main(['--images', str(tmp_path)])
