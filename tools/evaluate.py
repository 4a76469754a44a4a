"""``mmlgd evaluate``, in the place where OpenMMLab users look for it."""

import sys

from mmlgd.cli.__main__ import main

if __name__ == '__main__':
    main(['evaluate', *sys.argv[1:]])
