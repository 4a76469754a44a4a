"""``mmlgd detect`` and ``mmlgd segment``."""

import functools
import sys
from typing import Callable

import click

from mmlgd.run.child import RunError
from mmlgd.run.downstream import detect as _detect
from mmlgd.run.downstream import segment as _segment

from .verbs import verb


def _ended(function: Callable) -> click.Command:
    @functools.wraps(function)
    def call(**options):
        try:
            return function(**options)
        except RunError as error:
            sys.exit(error.code)  # its output has the reason

    return verb(call, show=lambda result: None)


detect, segment = _ended(_detect), _ended(_segment)
