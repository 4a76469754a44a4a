"""What the tests of hooks in real runs share."""

from pathlib import Path

import pytest

RECIPE = Path(__file__).parents[2] / 'configs/lgd/lgd_resnet18_1xb256-coslr-200e_pictures.py'


@pytest.fixture(scope='module')
def recipe(tmp_path_factory, recipe_of):
    """A user's config on top of the recipe for one's own images."""
    path = tmp_path_factory.mktemp('recipe') / 'mine.py'
    path.write_text(recipe_of(RECIPE))
    return path
