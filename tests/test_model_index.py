"""The model zoo's pages and the configs agree: every path opens, and no figure stands without its source."""

import re
from pathlib import Path

import pytest
import yaml

from tests import ROOT

ZOO = ROOT / 'configs/lgd'
PAGES = sorted([ROOT / 'README.md', ZOO / 'README.md', *(ROOT / 'docs').glob('*.md')])
# 'configs/lgd/*.py' stands for several, CONFIG or RUN for one of the reader's.
PATH_IN_TEXT = re.compile(r'(?<![\w/.:-])(?:configs|tools|docs|tests)/[\w./*-]*\.(?:py|sh|md|yml|png)')


def load(path):
    return yaml.safe_load((ROOT / path).read_text(encoding='utf-8'))


def metafiles():
    return [(path, load(path)) for path in load('model-index.yml')['Import']]


def models():
    return [model for _, index in metafiles() for model in index['Models']]


def tables(page):
    """Tables of figures: those with a column of published ones. Rows are dicts from header to cell."""
    for block in re.findall(r'(?:^\|.*\n)+', page.read_text(encoding='utf-8'), flags=re.MULTILINE):
        header, _, *rows = ([cell.strip() for cell in line.strip('|\n').split('|')] for line in block.splitlines())
        if any(name.split(', ')[-1] == 'published' for name in header):
            yield header, [dict(zip(header, row)) for row in rows]


def test_every_recipe_is_in_the_index_and_on_the_page():
    listed = {model['Config'] for model in models()}
    recipes = [*ZOO.glob('*.py'), ROOT / 'configs/demo/lgd_resnet18-tiny_demo.py']
    assert listed == {path.relative_to(ROOT).as_posix() for path in recipes}
    assert {Path(model['Config']).stem for model in models()} == {model['Name'] for model in models()}
    linked = re.findall(r'\[config\]\((\S+)\)', (ZOO / 'README.md').read_text(encoding='utf-8'))
    assert {(ZOO / name).resolve().relative_to(ROOT).as_posix() for name in linked} == listed


def test_every_path_of_the_index_opens():
    for path, index in metafiles():
        for collection in index['Collections']:
            assert (ROOT / path).parent.joinpath(collection['README']).is_file()  # as modelindex resolves it
        for model in index['Models']:
            assert (ROOT / model['Config']).is_file()
            assert model['In Collection'] in {collection['Name'] for collection in index['Collections']}
            assert '://' in model.get('Weights', '://') or (ROOT / model['Weights']).is_file()


@pytest.mark.parametrize('page', PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_path_of_a_page_opens(page):
    text = page.read_text(encoding='utf-8')
    for link in re.findall(r'\]\(([^)\s]+)\)', text):
        if not link.startswith(('http', '#')):
            assert (page.parent / link.split('#')[0]).exists(), link
    for path in PATH_IN_TEXT.findall(text):
        assert list(ROOT.glob(path)), path


def test_no_result_without_weights_or_a_source():
    for model in models():
        for result in model.get('Results', []):
            assert model.get('Weights') or result.get('Source')
        assert 'Results' in model or 'Weights' not in model


@pytest.mark.parametrize('page', [ROOT / 'README.md', ZOO / 'README.md'], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_published_figures_stand_apart_from_ours(page):
    found = list(tables(page))
    assert found
    for header, rows in found:
        published = [name[: -len('published')] for name in header if name.split(', ')[-1] == 'published']
        assert {f'{name}ours' for name in published} <= set(header)
        for row in rows:
            if any(row[f'{name}ours'] for name in published):
                assert row.get('weights'), f'{page}: a figure of ours without its weights: {row}'


def test_the_index_is_valid_for_openmmlab_s_loader(monkeypatch):
    modelindex = pytest.importorskip('modelindex')
    monkeypatch.chdir(ROOT)
    index = modelindex.load('model-index.yml')
    assert index.check(silent=True) == []
    assert len(index.models.data) == len(models())
    assert index.models[0].full_model.readme_content().startswith('# LGD')
