"""``mmlgd train``."""

from mmlgd.run.training import train as function

from .verbs import verb

train = verb(function, show=lambda result: None)  # the log has the results
