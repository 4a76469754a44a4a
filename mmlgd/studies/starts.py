"""The starts of a comparison; each may be trained once more, with a guide."""

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Optional, Union

from mmengine.config import Config

from mmlgd.checkpoints.files import no_checkpoint
from mmlgd.errors import ConfigError, MissingFileError
from mmlgd.run.guiding import add_guide
from mmlgd.utils.validation import listed, require

from .runs import named

_GUIDED = '+guide'


class Start(NamedTuple):
    """How runs of one name begin.

    Attributes:
        student (str): ``--student`` of ``mmlgd train``; {seed} in it stands for the seed of the run.
        guide (Tuple[str, ...]): Further words of that command, for a guide. Empty for the start alone.
        base (str, optional): Name of the start that this one is compared with. None for the first one.
    """

    student: str
    guide: tuple[str, ...]
    base: Optional[str]

    def words(self, seed: int) -> list[str]:
        """Write the words of ``mmlgd train`` for a run.

        Args:
            seed (int): Its seed.

        Returns:
            List[str]: From ``--student`` on.

        Examples:
            >>> Start('work_dirs/{seed}.pth', ('--guide', 'conse'), None).words(2)
            ['--student', 'work_dirs/2.pth', '--guide', 'conse']
        """
        return ['--student', self.student.replace('{seed}', str(seed)), *self.guide]

    def add_guide(self, cfg: Config) -> None:
        """Add the guide to a config, in place, as ``mmlgd train`` does with these words.

        Args:
            cfg (Config): Of the plain model.

        Raises:
            ConfigError: There is no such teacher, or the config is a pre-training.
            MissingFileError: A file of weights or of names is not there.
        """
        if self.guide:
            teacher, names = self.guide[1], self.guide[3:]
            add_guide(cfg, teacher, names[0] if len(names) == 1 else list(names) or None)


def read_starts(
    starts: Union[Mapping[str, str], Sequence[str]],
    example: str,
    seeds: Sequence[int],
    guide: Optional[str] = None,
    names: Optional[Union[str, Sequence[str]]] = None,
) -> dict[str, Start]:
    """Read ``NAME=START`` pairs; with a guide, each is followed by ``NAME+guide``.

    Args:
        starts (Mapping[str, str] | Sequence[str]): Students by name, or the pairs of a command line.
        example (str): Valid pairs, for error messages.
        seeds (Sequence[int]): Seeds of training, for each of which a student has to be there.
        guide (str, optional): ``--guide`` of ``mmlgd train``. Defaults to None: no start has a guide.
        names (str | Sequence[str], optional): ``--names`` of it. Defaults to None: those of the data set.

    Returns:
        Dict[str, Start]: By name. A guided start is compared with itself alone, the others with the first one.

    Raises:
        ConfigError: A pair is invalid, a name is duplicate or ends like those with a guide, or there are names and no
            guide.
        MissingFileError: There is no file of a student.

    Examples:
        >>> found = read_starts(['random=none', 'lgd=https://a.org/lgd.pth'], '', [0], 'conse')
        >>> {name: start.base for name, start in found.items()}
        {'random': None, 'random+guide': 'random', 'lgd': 'random', 'lgd+guide': 'lgd'}
    """
    require(guide or names is None, '--names are the names of a guide: give its teacher, too, as in --guide conse.')
    words = ('--guide', guide, *(['--names', *listed(names)] if names is not None else [])) if guide else ()
    found: dict[str, Start] = {}
    for name, student in named(starts, 'starts', '.+', example).items():
        student = os.path.expanduser(student)  # zsh leaves NAME=~/FILE as it is
        if name.endswith(_GUIDED):
            raise ConfigError(f'--starts names {name!r}; names with {_GUIDED} are those of --guide. Take another one.')
        found[name] = Start(student, (), next(iter(found), None))
        for seed in seeds:
            _require_file(name, seed, found[name].words(seed)[1])
        if guide:
            found[name + _GUIDED] = Start(student, words, name)
    return found


def _require_file(name: str, seed: int, student: str) -> None:
    if student != 'none' and '://' not in student and not os.path.isfile(student):
        raise MissingFileError(
            f'{no_checkpoint(student)} This was given as the start {name}, seed {seed}: give a file or a URL, or none '
            f'for a random start.'
        )
