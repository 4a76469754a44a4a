"""Blocks into HTML: what comes from files is text, and a policy in the page keeps anything else from running."""

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from mmlgd.errors import shown
from mmlgd.version import __version__

from .blocks import Chart, Section

_HERE = Path(__file__).parent


def html_of(title: str, sections: Sequence[Section]) -> str:
    """Write a page.

    Each text is escaped, on one line and without characters that turn the direction of writing. The page names the
    hashes of its own two scripts as the only ones that may run, and forbids every request.

    Args:
        title (str): Title of the page.
        sections (Sequence[Section]): Its sections; those without blocks are left out.

    Returns:
        str: The page, complete.
    """
    sections = [section for section in sections if section.blocks]
    has_charts = any(isinstance(block, Chart) for section in sections for block in section.blocks)
    # A browser reads \r\n as \n, and takes the hash of what it has read.
    scripts = [text.replace('\r\n', '\n') for text in (get_plotlyjs(), _read('page.js'))] if has_charts else []
    allowed = ' '.join(f"'sha256-{_digest(text)}'" for text in scripts) or "'none'"
    plotly, script = scripts or ('', '')
    environment = Environment(
        autoescape=True, finalize=_one_line, undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters.update(data=Markup, words=_words)  # the first for JSON of plotly's own encoder
    return environment.from_string(_read('page.html.jinja')).render(
        title=title,
        sections=sections,
        has_charts=has_charts,
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}; base-uri 'none'; "
        f"form-action 'none'",
        css=Markup(_read('page.css')),
        plotly=Markup(plotly),
        script=Markup(script),
        made=f'Made by mmlgd {__version__}. This file is complete: it loads nothing.',
    )


def _one_line(value: object) -> object:
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _words(text: str) -> Markup:
    """Escape a sentence, and set what stands between backticks as code."""
    return Markup(re.sub(r'`([^`]+)`', r'<code>\1</code>', str(escape(shown(text)))))


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding='utf-8')
