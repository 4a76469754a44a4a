"""The banks of a run: matrices with names while these fit, and the closest pairs in words."""

import json

import pytest
import torch

from mmlgd.pages.banks import show_banks
from mmlgd.pages.blocks import Chart, Pictures, Table, Text
from mmlgd.pages.folders import read_folder
from tests.words import change_words


@pytest.fixture
def run(work_dir):
    """A run with these names and rows; without a visit, no term of its loss has moved the visual bank."""

    def write(names, bank, visited):
        folder = work_dir()
        content = torch.load(folder / 'epoch_3.pth', weights_only=True)
        state = content['state_dict']
        state['textual_bank.bank'] = state['visual_bank.bank'] = bank
        state['visual_bank.visited'] = visited
        change_words(content, class_names=names)
        torch.save(content, folder / 'epoch_3.pth')
        return read_folder(folder)

    return write


def rows(names):
    return torch.nn.functional.normalize(torch.randn(names, 32, generator=torch.Generator().manual_seed(0)), dim=1)


def test_few_names_are_charts_that_follow_dark_mode_and_a_phone(run):
    bank = rows(3)
    bank[2] = bank[0]
    said, *charts, table = show_banks(run(['cat|kitten', 'dog', 'tiger'], bank, torch.tensor([True, True, False])))
    assert isinstance(said, Text) and 'epoch 3: 2 of 3 prototypes visited' in said.text
    assert [type(one) for one in charts] == [Chart] * 3 and isinstance(table, Table)
    assert table.rows == [['cat', 'tiger', '1.00']]
    figure = json.loads(charts[1].figure)
    assert sorted(figure['layout']['xaxis']['ticktext']) == ['cat', 'dog', 'tiger']
    (matrix,) = figure['data']
    assert matrix['z'][0][0] == 1 and matrix['z'][2] == [None] * 3  # the unvisited come last
    assert matrix['customdata'][0][0] in ('cat, cat: 1.0', 'dog, dog: 1.0')


def test_a_run_without_prototypes_has_the_names_alone(run):
    said, chart, table = show_banks(run(['cat', 'dog'], rows(2), torch.zeros(2, dtype=torch.bool)))
    assert 'class names alone' in said.text and isinstance(chart, Chart) and isinstance(table, Table)


def test_many_names_are_pictures(run):
    said, pictures, table = show_banks(run([f'name {k}' for k in range(41)], rows(41), torch.ones(41, dtype=bool)))
    assert isinstance(pictures, Pictures) and pictures.wide and len(pictures.pictures) == 3
    assert pictures.pictures[0].title.endswith('to 1.00 (bright)')
