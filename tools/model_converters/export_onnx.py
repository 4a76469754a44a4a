"""``mmlgd export --to onnx``, under its earlier name."""

import sys

from mmlgd.cli.__main__ import main

RENAMED = {'--vocabulary': '--names', '--input-size': '--size'}

if __name__ == '__main__':
    main(['export', '--to', 'onnx', *(RENAMED.get(word, word) for word in sys.argv[1:])])
