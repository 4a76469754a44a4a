"""Charts are readable in light and in dark mode."""

import json

import pytest

from mmlgd.pages.charts import Values, draw_bars


@pytest.mark.parametrize('page', ['ffffff', '1d2026'])
def test_each_of_many_rows_differs_from_the_page(page):
    rows = [Values(f'start {k}', ['top-1'], [1.0]) for k in range(30)]
    colors = {trace['marker']['color'] for trace in json.loads(draw_bars('', rows).figure)['data']}
    light = [_luminance(color.lstrip('#')) for color in (*colors, page)]
    assert len(colors) == 11
    assert min(max(one, light[-1]) / min(one, light[-1]) for one in light[:-1]) > 1.8


def _luminance(color):
    """As WCAG has it, with what a screen reflects."""
    channels = (int(color[k : k + 2], 16) / 255 for k in (0, 2, 4))
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return 0.05 + 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
