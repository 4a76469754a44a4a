"""``mmlgd train``."""

import mmlgd

from .verbs import verb

train = verb(mmlgd.train, show=lambda result: None)  # the log has the results
