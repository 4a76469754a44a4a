"""What a run of ``make card`` found, as one JSON file."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from mmlgd.errors import ConfigError, sentence
from mmlgd.utils.files import read_small, write_whole

DONE, FAILED, STOPPED, LEFT = 'done', 'failed', 'out of time', 'not run'


@dataclass(frozen=True)
class Outcome:
    """What became of a part.

    Attributes:
        name (str): Name of the part.
        command (str): What was run, from the root of the checkout.
        state (str): ``'done'``, ``'failed'``, ``'out of time'`` or ``'not run'``.
        seconds (float): How long it ran.
        error (str): Why it is not done, with the end of its output. Defaults to ``''``.
        found (dict): What it wrote: ``title``, ``table`` and its figures. Defaults to nothing.
    """

    name: str
    command: str
    state: str
    seconds: float
    error: str = ''
    found: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """What a run of ``make card`` found.

    Attributes:
        card (str | None): Name of the GPU; None without one.
        versions (Dict[str, str]): Of Python and the packages.
        date (str): When it ended, in UTC.
        images (str): Where the real images came from.
        tiny (bool): All sizes were tiny: the figures say nothing.
        minutes (float): The time that it was given.
        outcomes (List[Outcome]): Of each part, in order.
    """

    card: Optional[str]
    versions: dict[str, str]
    date: str
    images: str
    tiny: bool
    minutes: float
    outcomes: list[Outcome]

    def write(self, file: Path) -> None:
        """Write the file.

        Args:
            file (Path): Its folder has to exist.
        """
        write_whole(file, (json.dumps(dataclasses.asdict(self), indent=1) + '\n').encode())

    @classmethod
    def read(cls, file: Path) -> 'Results':
        """Read a file that :meth:`write` has written.

        Args:
            file (Path): The file.

        Returns:
            Results: What is in it.

        Raises:
            ConfigError: It is something else.
        """
        try:
            content = json.loads(read_small(file))
            return cls(**{**content, 'outcomes': [Outcome(**one) for one in content['outcomes']]})
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(
                f'{file} holds no results of `make card`: {sentence(error)} Give the card.json that it wrote.'
            ) from error
