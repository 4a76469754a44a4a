"""The progress of ``mmlgd evaluate``."""

import logging

from mmlgd.cli.evaluate import evaluate
from mmlgd.run.evaluating import logger


def test_progress_is_said_once_even_if_a_library_logs_as_well(monkeypatch):
    assert evaluate.name == 'evaluate'  # its module sets the logger up
    heard = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, 'handle', heard.append)
    monkeypatch.setattr(logging.getLogger(), 'handlers', [handler])
    logger.info('Features of 3 images')
    assert not heard
    logging.getLogger('another').warning('is heard')
    assert len(heard) == 1
