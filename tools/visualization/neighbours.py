"""``mmlgd show neighbours`` as a script."""

import sys

from mmlgd.cli.__main__ import main

if __name__ == '__main__':
    main(['show', 'neighbours', *sys.argv[1:]])
