"""``mmlgd export``, under its earlier name."""

import sys

from mmlgd.cli.__main__ import main

if __name__ == '__main__':
    main(['export', *sys.argv[1:]])
