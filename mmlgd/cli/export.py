"""``mmlgd export``."""

import mmlgd

from .verbs import verb
from .written import show_written

export = verb(mmlgd.export, show_written)
