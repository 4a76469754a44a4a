"""``mmlgd convert``."""

from mmlgd.converters.conversions import convert as function

from .verbs import verb
from .written import show_written

convert = verb(function, show_written)
