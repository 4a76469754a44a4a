"""Train variants of a recipe over seeds, and evaluate each: ``mmlgd study``."""

import sys

from mmlgd.cli.__main__ import main

if __name__ == '__main__':
    main(['study', *sys.argv[1:]])
