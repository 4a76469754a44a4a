"""``mmlgd publish``."""

from mmlgd.converters.publishing import publish as function

from .verbs import verb
from .written import show_written

publish = verb(function, show_written)
