"""``mmlgd publish``."""

import mmlgd

from .verbs import verb
from .written import show_written

publish = verb(mmlgd.publish, show_written)
