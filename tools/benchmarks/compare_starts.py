"""Train one downstream config from several starts, over seeds: ``mmlgd compare``."""

import sys

from mmlgd.cli.__main__ import main

if __name__ == '__main__':
    main(['compare', *sys.argv[1:]])
