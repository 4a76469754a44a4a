"""Reports of a run: progress, curves, unreadable images, and a summary."""

from .answers_hook import AnswersHook
from .bad_images_hook import BadImagesHook
from .curves import draw_curves, read_scalars
from .curves_hook import CurvesHook
from .progress_hook import ProgressHook
from .start_hook import StartHook
from .summary_hook import SummaryHook

__all__ = [
    'AnswersHook',
    'BadImagesHook',
    'CurvesHook',
    'ProgressHook',
    'StartHook',
    'SummaryHook',
    'draw_curves',
    'read_scalars',
]
