"""Names that can hardly be told apart: the pairs, and how many names they amount to."""

import pytest
import torch
import torch.nn.functional as F

from mmlgd.evaluation.similar_names import confusable, effective_names


def test_pairs_are_those_above_the_percentile_the_closest_first():
    torch.manual_seed(0)
    bank = F.normalize(torch.randn(40, 16), dim=1)
    bank[7] = F.normalize(bank[3] + 0.05 * torch.randn(16), dim=0)
    found = confusable(bank)
    table = bank @ bank.T
    expected = {(i, j) for i in range(40) for j in range(i + 1, 40) if table[i, j] > found.threshold}
    assert {(i, j) for i, j, _ in found.pairs} == expected and found.pairs[0][:2] == (3, 7)
    assert len(found.pairs) == len(found.cosines) // 100 + 1 == 8
    values = [value for _, _, value in found.pairs]
    assert values == sorted(values, reverse=True)


def test_two_names_have_no_pair_above_their_own():
    assert confusable(torch.eye(2)).pairs == []


def test_names_that_are_one_for_the_teacher_are_pairs_however_many():
    """Words of a script that a tokenizer does not know have one row, which is also the 99th percentile."""
    bank = torch.ones(3, 4) / 2
    assert [pair[:2] for pair in confusable(bank).pairs] == [(0, 1), (0, 2), (1, 2)]
    assert confusable(torch.cat([bank, torch.eye(4)])).pairs[-1][2] == pytest.approx(1)


@pytest.mark.parametrize('bank, expected', [(torch.eye(4), 4), (torch.ones(4, 4) / 2, 1), (torch.eye(4)[:2], 2)])
def test_effective_names_go_from_one_to_all(bank, expected):
    assert effective_names(bank) == pytest.approx(expected)


def test_neither_a_name_that_is_there_twice_nor_what_all_share_counts():
    torch.manual_seed(0)
    bank = F.normalize(torch.randn(9, 16), dim=1)
    number = effective_names(bank)
    assert 5 < number < 9
    assert effective_names(torch.cat([bank, bank])) == pytest.approx(number)
    assert effective_names(bank + torch.randn(16)) == pytest.approx(number)
