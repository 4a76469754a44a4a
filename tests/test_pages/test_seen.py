"""What a student answers for images."""

import json
import re

from mmlgd.pages.blocks import Chart, Pictures, Table, Text
from mmlgd.pages.folders import read_folder
from mmlgd.pages.seen import show_images


def test_labels_give_confusions(work_dir, labelled):
    said, sure, unsure, chart, table, places = show_images(read_folder(work_dir()), labelled, 100)
    assert said.text.startswith('10 images') and 'nearest of 5 names is right for' in said.text
    assert said.text.endswith('By its class folder: 0 is cat, 1 is dog, and so on.')
    assert [len(block.pictures) for block in (sure, unsure)] == [5, 5]
    scores = [float(one.lines[0].split()[-1]) for one in (*sure.pictures, *reversed(unsure.pictures))]
    assert scores == sorted(scores, reverse=True)
    for picture in sure.pictures:
        assert picture.source.startswith('data:image/jpeg;base64,') and len(picture.lines) == 3
        is_right, truth = picture.truth
        answer = picture.lines[0].rsplit(' ', 1)[0]
        label = ['cat', 'dog', 'red panda', 'tree', 'car'][int(picture.title.split('/')[0])]
        assert is_right == (answer == label) and truth == ('right' if is_right else f'it is {label}')
    (heatmap,) = json.loads(chart.figure)['data']
    assert len(heatmap['customdata']) == 5 and isinstance(table, Table)
    assert sum(int(row[2]) for row in table.rows) == 10 - round(10 * _share(said.text))
    assert 'mmlgd pretrain --dense' in places.text


def test_images_without_labels_and_with_places(work_dir, images):
    blocks = show_images(read_folder(work_dir(places=True)), images, 4)
    assert [type(block) for block in blocks] == [Text, Pictures, Pictures, Pictures]
    assert blocks[0].text.startswith('4 images') and 'not known: images with labels lie' in blocks[0].text
    assert blocks[-1].wide and len(blocks[-1].pictures) == 4
    for picture in blocks[-1].pictures:  # the legend is words of the page, which follow dark mode and a phone
        assert all(re.fullmatch('#[0-9a-f]{6}', color) for color, _ in picture.legend)
        assert sum(int(line.split()[-2]) for _, line in picture.legend if '<' not in line) in range(95, 106)
    assert not any(isinstance(block, Chart) for block in blocks)
    assert blocks[1].pictures[0].truth is None


def _share(text):
    return int(text.split('is right for ')[1].split(' %')[0]) / 100
