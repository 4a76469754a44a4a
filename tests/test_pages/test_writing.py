"""Text stays text: in HTML, in the JSON of a chart, in a label of plotly."""

import html
import json
from html.parser import HTMLParser

import numpy as np
import pytest

from mmlgd.pages.blocks import Code, Heading, Picture, Pictures, Section, Table, Text
from mmlgd.pages.charts import (
    Values,
    draw_bars,
    draw_confusions,
    draw_cosines,
    draw_learning,
    draw_lines,
    draw_seeds,
    label,
)
from mmlgd.pages.writing import html_of

HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(1)>"\'&{{7*7}}`<b>x</b>`\u202e'


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, {name for name, _ in attrs}))


def charts(name):
    values = [Values(name, [0, 1], [1.0, 2.0], [0.1, None])]
    return [
        draw_lines(name, [([0, 1], [1, 2], name, '#123456', '-')], (0, None), 'epoch'),
        draw_bars(name, [Values(name, [name], [1.0])]),
        draw_seeds(name, [Values(name, [name], [1.0])], name),
        draw_learning(name, [Values(name, [1, 10], [1.0, 2.0])], name),
        draw_confusions(name, [[1, 2], [0, 3]], [name, 'cat']),
        draw_cosines(name, np.eye(2), [name, 'cat'], name, name),
        draw_bars('spread', values),
    ]


def test_hostile_text_is_text():
    def page(name):
        picture = Picture('data:image/jpeg;base64,', name, [name], (False, name), [('#123456', name), ('', name)])
        blocks = [Text(name), Heading(name), Table([name], [[name, name]], name), Table([], [[name, name]])]
        blocks += [Pictures(name, [picture]), Code([name]), Code([name], name), *charts(name)]
        return html_of(name, [Section(name, blocks)])

    def tags(text):
        parser = Tags()
        parser.feed(text)
        return parser.found

    found, plain = tags(page(HOSTILE)), tags(page('cat'))
    codes = [tag for tag in found if tag[0] == 'code']  # what stands between backticks in a sentence
    assert [tag for tag in found if tag[0] != 'code'] == [tag for tag in plain if tag[0] != 'code'] and len(codes) == 3
    assert html.unescape(page('{{7*7}}')).count('{{7*7}}') > 10
    assert '\u202e' not in page(HOSTILE)


@pytest.mark.parametrize('chart', charts(HOSTILE))
def test_no_name_is_markup_in_a_chart(chart):
    assert '<' not in chart.figure and '\u202e' not in chart.figure

    def strings(value):
        if isinstance(value, dict):
            value = list(value.values())
        return [one for item in value for one in strings(item)] if isinstance(value, list) else [value]

    said = [text for text in strings(json.loads(chart.figure)) if isinstance(text, str)]
    assert not [text for text in said if '<' in text.replace('<extra></extra>', '')]


def test_labels():
    assert label('<a href="x">&') == '&lt;a href="x"&gt;&amp;' and label('a' * 99, 5) == 'aaaa…'


def test_a_page_without_charts_carries_no_script():
    page = html_of('title', [Section('a', [Text('text')]), Section('empty', [])])
    assert '<script' not in page and "script-src 'none'" in html.unescape(page) and 'empty' not in page
