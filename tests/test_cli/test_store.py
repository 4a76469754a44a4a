"""What ``mmlgd store`` prints."""

from pathlib import Path

from mmlgd.cli.store import show
from mmlgd.run.storing import StoreResult


def test_the_line_that_trains_from_it_can_be_copied(capsys):
    show(StoreResult(Path('my store'), images=12, views=2, bad_images=0, size=24 * 64, seconds=3))
    out = capsys.readouterr().out
    assert '12 images, 2 views each, 0.0 MiB (64 bytes per view), 3 s' in out
    assert out.endswith("  mmlgd train CONFIG --store 'my store'\n")
