"""The model zoo's pages and the configs agree."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
ZOO = ROOT / 'configs/lgd'


def load(path):
    return yaml.safe_load((ROOT / path).read_text(encoding='utf-8'))


def test_every_recipe_is_in_the_index_and_on_the_page():
    (imported,) = load('model-index.yml')['Import']
    index = load(imported)
    listed = {model['Config'] for model in index['Models']}
    assert listed == {f'configs/lgd/{path.name}' for path in ZOO.glob('*.py')}
    assert {Path(model['Config']).stem for model in index['Models']} == {model['Name'] for model in index['Models']}
    linked = re.findall(r'\[config\]\((\S+)\)', (ZOO / 'README.md').read_text(encoding='utf-8'))
    assert {f'configs/lgd/{name}' for name in linked} == listed


def test_no_result_without_weights():
    for model in load('configs/lgd/metafile.yml')['Models']:
        assert ('Results' in model) == ('Weights' in model)
