"""Train any mmpretrain, mmdet, mmseg or mmlgd config: `mmlgd train` under the name that OpenMMLab users know."""

import sys

from mmlgd.cli.__main__ import main

if __name__ == '__main__':
    main(['train', *sys.argv[1:]], prog_name='mmlgd')
