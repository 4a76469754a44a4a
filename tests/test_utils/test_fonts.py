"""Names of any script have fonts."""

from matplotlib.font_manager import FontEntry

from mmlgd.utils import fonts


def test_of_a_family_the_plain_file_is_taken(monkeypatch):
    """Overlays are drawn by Pillow, which takes a file: the first by name is the bold one of Noto Sans CJK."""
    looks = dict(Black=(900, 'normal'), Condensed=(400, 'condensed'), Light=(300, 'normal'), Regular=(400, 'normal'))
    entries = [
        FontEntry(fname=f'CJK-{look}.ttc', name='CJK', style='normal', weight=weight, stretch=stretch)
        for look, (weight, stretch) in looks.items()
    ]
    own = fonts.own_font()
    monkeypatch.setattr(fonts, 'own_font', lambda: own)
    monkeypatch.setattr(fonts.fontManager, 'ttflist', entries)
    monkeypatch.setattr(fonts, '_characters', lambda file: frozenset('狮'))
    (found,), lacking = fonts.further_fonts(['狮'])
    assert found.file == 'CJK-Regular.ttc' and not lacking
