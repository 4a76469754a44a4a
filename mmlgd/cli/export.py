"""``mmlgd export``."""

from mmlgd.converters.exports import export as function

from .verbs import verb
from .written import show_written

export = verb(function, show_written)
