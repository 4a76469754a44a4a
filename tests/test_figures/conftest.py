import pytest
import torch

from tests.words import change_words


@pytest.fixture
def oddly_named(lgd_checkpoint, tmp_path):
    """A checkpoint whose names are no mathematics, and one of which is as long as a name may be."""
    content = torch.load(lgd_checkpoint, weights_only=True)
    names = ['$\\frac{$', 'costs $5 or $6', 'under_score^2 & 100 %', 'x' * 1000, '{}']
    change_words(content, class_names=names)
    content['state_dict']['visual_bank.visited'] = torch.ones(5, dtype=torch.bool)
    torch.save(content, tmp_path / 'odd.pth')
    return str(tmp_path / 'odd.pth')
