"""``mmlgd test``."""

from mmlgd.run.testing import test as function

from .verbs import verb

test = verb(function, show=lambda metrics: None)  # the log has the metrics
