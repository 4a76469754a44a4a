"""Looks: the second half of a pair of teachers."""

from typing import Union

from mmlgd.models.teachers.base import BaseTeacher
from mmlgd.models.teachers.settings import looks_settings

from .kinds import FeatureLooks, LogitLooks, Looks, SimilarityLooks
from .network import LooksNetwork

__all__ = ['FeatureLooks', 'LogitLooks', 'Looks', 'LooksNetwork', 'SimilarityLooks', 'build_looks']


def build_looks(looks: Union[str, dict], words: BaseTeacher) -> Looks:
    """Build the looks of a pair.

    Args:
        looks (str | dict): See :func:`~mmlgd.models.teachers.settings.looks_settings`; of features also ``looks_dim``
            and ``statistics``. The words' own classifier, by its name, gets the words' image sizes and statistics where
            it has none of its own, so that it runs once.
        words (BaseTeacher): The words' teacher.

    Returns:
        Looks: Of its kind.

    Raises:
        ConfigError: There is no such setting.
        TeacherError: The network cannot be used.
    """
    kind, settings = looks_settings(looks)
    if kind == 'logits':
        return LogitLooks(words)
    if kind == 'similarity' and not settings:
        return SimilarityLooks(None, words)
    own = {key: settings.pop(key) for key in ('looks_dim', 'statistics') if kind == 'features' and key in settings}
    if isinstance(settings['backbone'], str) and settings['backbone'] == getattr(words, 'classifier_name', None):
        mean, std = (x.flatten().tolist() for x in (words.mean, words.std))
        usual = dict(mean=mean, std=std, image_size=words.image_size, places_size=words.places_size)
        settings = {**usual, **settings}
    network = LooksNetwork(**settings)
    return FeatureLooks(network, words, **own) if kind == 'features' else SimilarityLooks(network, words)
