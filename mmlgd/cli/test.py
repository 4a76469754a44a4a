"""``mmlgd test``."""

from mmlgd.run import testing

from .verbs import verb

test = verb(testing.test, show=lambda metrics: None)  # the log has said it all
