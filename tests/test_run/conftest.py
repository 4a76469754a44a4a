"""What the tests of runs share."""

import pytest
from mmengine.registry import DefaultScope, init_default_scope


@pytest.fixture(scope='module', autouse=True)
def as_before():
    """A run leaves its scope behind, which is put back; the layout of its config's text takes half of a short run."""
    before = DefaultScope.get_current_instance()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.config.config.FormatCode', lambda text, **style: (text, True), raising=False)
        yield
    if before is not None:
        init_default_scope(before.scope_name)
