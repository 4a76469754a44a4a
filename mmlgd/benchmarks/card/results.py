"""What a run of ``make card`` found, as one JSON file."""

import dataclasses
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

from mmlgd.errors import ConfigError, sentence
from mmlgd.utils.files import read_small, write_whole

from .parts import NAMES, Part

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

    def after(self, earlier: 'Results') -> 'Results':
        """Go on from an earlier call on such a card.

        Args:
            earlier (Results): What it found.

        Returns:
            Results: This call, with the outcomes of that one and the minutes of both.

        Raises:
            ConfigError: It was of another card, of other versions, images or sizes: figures of both are no one table.
        """
        for name in ('card', 'versions', 'images', 'tiny'):
            there, here = getattr(earlier, name), getattr(self, name)
            if there != here:
                raise ConfigError(
                    f'The earlier results are of another machine or call: {name} was {there}, and is {here}. '
                    'Give the arguments of that call on such a machine, or measure everything without --after.'
                )
        return replace(self, minutes=earlier.minutes + self.minutes, outcomes=earlier.outcomes)

    def left_of(self, parts: list[Part]) -> list[Part]:
        """Choose the parts that are to be run.

        Args:
            parts (List[Part]): All parts.

        Returns:
            List[Part]: Those that are not done. One that ran out of its time has twice as much.
        """
        states = {one.name: one.state for one in self.outcomes}
        return [
            replace(part, limit=2 * part.limit) if states.get(part.name) == STOPPED else part
            for part in parts
            if states.get(part.name) != DONE
        ]

    def having(self, outcome: Outcome) -> 'Results':
        """Add an outcome, in place of an earlier one of the same part.

        Args:
            outcome (Outcome): Of a part.

        Returns:
            Results: With it, the parts in their order.
        """
        outcomes = {one.name: one for one in [*self.outcomes, outcome]}
        return replace(self, outcomes=[outcomes[name] for name in NAMES if name in outcomes])

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
            ConfigError: It cannot be read, or is something else.
        """
        try:
            content = json.loads(read_small(file))
            return cls(**{**content, 'outcomes': [Outcome(**one) for one in content['outcomes']]})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(
                f'{file} holds no results of `make card`: {sentence(error)} Give the card.json that it wrote.'
            ) from error
