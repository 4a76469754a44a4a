"""Evaluate a checkpoint with any of these configs: `mmlgd test` under the name that OpenMMLab users know."""

import sys

from mmlgd.cli.__main__ import main

if __name__ == '__main__':
    main(['test', *sys.argv[1:]], prog_name='mmlgd')
