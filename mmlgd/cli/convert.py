"""``mmlgd convert``."""

import mmlgd

from .verbs import verb
from .written import show_written

convert = verb(mmlgd.convert, show_written)
