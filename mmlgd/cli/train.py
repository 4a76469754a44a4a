"""``mmlgd train``."""

from mmlgd.run import training

from .verbs import verb

train = verb(training.train, show=lambda result: None)  # the log has said it all
