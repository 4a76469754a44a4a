"""Names of any script are drawn, where a font of this machine has their characters."""

import pytest
from matplotlib.figure import Figure

from mmlgd.figures import scripts
from mmlgd.figures.looking import save
from mmlgd.utils import fonts

PANDA = '熊猫'
OF_STIX = 'ᶁ'  # STIXGeneral, which comes with matplotlib, has this letter, and matplotlib's own font lacks it


def figure_of(*names):
    figure = Figure()
    axis = figure.add_subplot()
    axis.set_xticks(range(len(names)), names)
    return figure, axis.get_xticklabels()


def test_latin_names_keep_the_font():
    figure, labels = figure_of('red panda', 'żubr', 'лошадь')
    before = [label.get_fontfamily() for label in labels]
    assert scripts.choose_fonts(figure) == ''
    assert [label.get_fontfamily() for label in labels] == before


@pytest.mark.filterwarnings('error')
def test_a_character_of_another_font_is_drawn_by_it(tmp_path):
    figure, labels = figure_of('red panda', f'{OF_STIX}og')
    own = labels[1].get_fontfamily()
    assert scripts.choose_fonts(figure) == ''
    assert labels[1].get_fontfamily()[:-1] == own and scripts.choose_fonts(figure) == ''
    figure.savefig(tmp_path / 'names.png')  # matplotlib warns where no font has a character


@pytest.mark.filterwarnings('error')
def test_characters_that_no_font_has_are_named_once(tmp_path, monkeypatch):
    monkeypatch.setattr(fonts, '_regular_fonts', lambda: [fonts.Font('none', '', frozenset('x'))])
    told = []
    monkeypatch.setattr(fonts, 'print_log', lambda text, *args, **kwargs: told.append(text))
    figure, _ = figure_of('red panda', PANDA, PANDA[0])
    save(figure, tmp_path / 'names.png')
    assert len(told) == 1 and repr(PANDA) in told[0] and '2 characters' in told[0]
