"""Words with several senses, as WordNet has them; without WordNet there are none."""

import sys
import types

import pytest

from mmlgd.text.senses import several_senses


class Synset:
    def __init__(self, kind, is_proper=False):
        self.kind, self.is_proper = kind, is_proper

    def lexname(self):
        return f'noun.{self.kind}'

    def instance_hypernyms(self):
        return ['an author'] if self.is_proper else []


NOUNS = dict(
    crane=[Synset('person', is_proper=True), Synset('artifact'), Synset('animal')],
    red_panda=[Synset('animal')],
    run=[Synset('act'), Synset('act'), Synset('object')],
)


@pytest.fixture
def wordnet(monkeypatch):
    """nltk with a WordNet of three words."""
    corpus, nltk = types.ModuleType('nltk.corpus'), types.ModuleType('nltk')
    corpus.wordnet = types.SimpleNamespace(
        ensure_loaded=lambda: None, synsets=lambda word, pos: NOUNS.get(word, []) if pos == 'n' else []
    )
    monkeypatch.setitem(sys.modules, 'nltk', nltk)
    monkeypatch.setitem(sys.modules, 'nltk.corpus', corpus)
    return corpus.wordnet


def test_senses_of_visible_things_are_listed(wordnet):
    assert several_senses(['crane', 'red panda', 'run', 'zebra']) == dict(crane=['artifact', 'animal'])


def test_without_wordnet_nothing_is_said(wordnet, monkeypatch):
    def missing():
        raise LookupError('Resource wordnet not found.')

    monkeypatch.setattr(wordnet, 'ensure_loaded', missing)
    assert several_senses(['crane']) == {}
    monkeypatch.setitem(sys.modules, 'nltk.corpus', None)
    assert several_senses(['crane']) == {}
