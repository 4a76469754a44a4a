"""``mmlgd convert efficientnet-lite:NAME``, under its earlier name."""

import sys

from mmlgd.cli.__main__ import main

LITE = ('lite0', 'lite1', 'lite2')

if __name__ == '__main__':
    main(['convert', *(f'efficientnet-lite:{word}' if word in LITE else word for word in sys.argv[1:])])
