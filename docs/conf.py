"""Sphinx's settings. The source folder is the repository: the READMEs of README.md and configs/ are pages as well."""

from pathlib import Path

import mmlgd

project = 'mmlgd'
author = 'the mmlgd authors'
version = release = mmlgd.__version__

root_doc = 'docs/index'
include_patterns = ['README.md', 'docs/*.md', 'configs/**/README.md']
exclude_patterns = ['.*', 'build', 'data', 'work_dirs', 'mmlgd', 'tests']

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx.ext.mathjax']
myst_heading_anchors = 3
autodoc_typehints = 'none'  # the docstrings have them
autodoc_member_order = 'bysource'
html_theme = 'furo'
html_title = f'mmlgd {release}'
html_show_sourcelink = False


def lead_to_index(app, exception):
    """Let the site's root lead to its first page, which lies in docs/."""
    if exception is None and app.builder.format == 'html':
        page = '<!doctype html><meta http-equiv="refresh" content="0; url=docs/index.html">\n'
        Path(app.outdir, 'index.html').write_text(page, encoding='utf-8')


def setup(app):
    """Register the above."""
    app.connect('build-finished', lead_to_index)
