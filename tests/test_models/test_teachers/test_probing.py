from torch import nn

from mmlgd.models.teachers.probing import same_output


def test_equal_up_to_rounding_and_nothing_else():
    tower = nn.Conv2d(3, 4, 1).eval()
    assert same_output(tower, lambda x: tower(x) * (1 + 1e-6), (8, 8))
    assert not same_output(tower, lambda x: tower(x) * 1.1, (8, 8))


def test_what_is_not_finite_is_not_the_same():
    tower = nn.Conv2d(3, 4, 1)
    nn.init.constant_(tower.bias, float('nan'))
    assert not same_output(tower, tower, (8, 8))
