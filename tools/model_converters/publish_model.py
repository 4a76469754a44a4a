"""``mmlgd publish``, under its earlier name."""

import sys

from mmlgd.cli.__main__ import main

if __name__ == '__main__':
    main(['publish', *sys.argv[1:]])
