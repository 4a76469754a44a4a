"""What ``mmlgd store`` prints."""

from pathlib import Path

from mmlgd.cli.store import show
from mmlgd.run.storing import StoreResult

RESULT = StoreResult(Path('my store'), images=12, views=2, bad_images=0, size=24 * 64, seconds=3)


def test_the_line_that_trains_from_it_can_be_copied(capsys):
    show(RESULT)
    out = capsys.readouterr().out
    assert '12 images, 2 views each, 0.0 MiB (64 bytes per view), 3 s' in out
    assert out.endswith("  mmlgd train CONFIG --store 'my store'\n")


def test_pretrain_trains_from_it_without_being_told(capsys, monkeypatch):
    monkeypatch.setenv('MMLGD_COMMAND', 'mmlgd pretrain --images a --store b')
    show(RESULT)
    assert capsys.readouterr().out.endswith('(64 bytes per view), 3 s.\n')
