"""Write a teacher store: `mmlgd store` as a script."""

import sys

from mmlgd.cli.__main__ import main

if __name__ == '__main__':
    main(['store', *sys.argv[1:]], prog_name='mmlgd')
