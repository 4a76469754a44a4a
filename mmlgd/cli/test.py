"""``mmlgd test``."""

import mmlgd

from .verbs import verb

test = verb(mmlgd.test, show=lambda metrics: None)  # the log has the metrics
