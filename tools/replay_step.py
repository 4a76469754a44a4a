"""Run a broken training step again: `mmlgd replay` as a script."""

import sys

from mmlgd.cli.__main__ import main

if __name__ == '__main__':
    main(['replay', *sys.argv[1:]], prog_name='mmlgd')
