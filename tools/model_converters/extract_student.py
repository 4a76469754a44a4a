"""``mmlgd export``, by the name of earlier versions."""

import sys

from mmlgd.cli.__main__ import main

if __name__ == '__main__':
    main(['export', *sys.argv[1:]])
