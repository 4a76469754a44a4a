"""Writes the config of a pre-training to a file: settings on top of one of our configs."""

import ast
import copy
import hashlib
import io
import os
import shlex
import tokenize
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any, Callable, Optional

from mmlgd.errors import MMLGDError, shown
from mmlgd.utils.paths import RECIPE_HEAD

# Large packages are imported inside functions: the help of `mmlgd pretrain`, which reads this module, must not wait for
# them.


class OtherConfigError(MMLGDError, FileExistsError):
    """The work dir has the config of another run."""


def base_of(name: str) -> dict:
    """Read one of our configs.

    Args:
        name (str): Its path below ``configs/``.

    Returns:
        dict: The config, with its bases.
    """
    from mmengine.config import Config

    from mmlgd.utils.paths import place_of

    return Config.fromfile(place_of('configs') / name).to_dict()


def config_text(name: str, settings: dict, options: dict[str, Any], head: str = RECIPE_HEAD) -> str:
    """Write a config on top of one of ours.

    Args:
        name (str): Path of that config below ``configs/``.
        settings (dict): Settings to merge into it.
        options (Dict[str, Any]): Further changes, from ``key.subkey`` or ``key.0.subkey`` to values; they take
            precedence.
        head (str): Its first line, a comment. Defaults to that of ``mmlgd pretrain``.

    Returns:
        str: The config as Python text, from mmengine.

    Raises:
        ConfigError: An option cannot be merged; or a value, such as a class name or a folder of the data, looks like a
            template of mmengine, see :mod:`mmlgd.utils.substitution`.

    Examples:
        >>> text = config_text('lgd/lgd_resnet18_1xb256-coslr-200e_images.py', dict(randomness=dict(seed=3)), {})
        >>> text.splitlines()[-1]
        'randomness = dict(seed=3)'
    """
    from mmlgd.utils.paths import is_installed, place_of

    if options:
        settings = _changed(base_of(name), settings, options)
    base = f'mmlgd::{name}' if is_installed() else str(place_of('configs') / name)
    return head + _python(dict(_base_=base, **settings))


def read_text(text: str) -> dict:
    """Read the text of a config, with its bases.

    Args:
        text (str): Of :func:`config_text`.

    Returns:
        dict: The whole config.
    """
    from mmengine.config import Config

    return Config.fromstring(text, '.py').to_dict()


def _changed(base: dict, settings: dict, options: dict[str, Any]) -> dict:
    """Apply the options last; each part of the config that they change is then written in full."""
    from mmengine.config import Config

    from mmlgd.utils.configs import merge_options

    whole = Config(Config._merge_a_into_b(copy.deepcopy(settings), copy.deepcopy(base)))
    merge_options(whole, options)
    changed = dict(settings)
    for key in dict.fromkeys(option.split('.')[0] for option in options):
        value = whole.to_dict()[key]
        # mmengine takes `_delete_` out only where it has something to replace.
        changed[key] = dict(value, _delete_=True) if isinstance(value, dict) and key in base else value
    return changed


def refuse_both(resume: Any, overwrite: bool) -> None:
    """Refuse to go on with a run and to replace it.

    Args:
        resume (bool | str | Path): Whether, or from where, to go on.
        overwrite (bool): Whether to replace it.

    Raises:
        ConfigError: Both are asked for.
    """
    from mmlgd.utils.validation import require

    require(
        not (resume and overwrite),
        '--overwrite starts another run, but --resume continues one: give only one of them.',
    )


@contextmanager
def written_config(
    work_dir: Path, text: str, overwrite: bool, command_of: Callable[[Path], list[str]], verb: str = 'pretrain'
) -> Iterator[Path]:
    """Write the config; do not replace a different one that was trained or edited. No run goes on from another's
    checkpoints.

    The config stays until the block ends: the training, a process of its own, reads it seconds after it was written,
    and only then locks the work dir.

    Args:
        work_dir (Path): Work dir of the run. mmengine writes the full config there; ours goes into a separate folder.
        text (str): The config.
        overwrite (bool): Replace any config.
        command_of (Callable): Returns the command that trains a config, for the advice to train the existing one.
        verb (str): The verb that writes it; the file is ``recipe/VERB.py``. Defaults to ``'pretrain'``.

    Yields:
        Path: The file.

    Raises:
        OtherConfigError: There is a different config, which was trained or edited.
        ConfigError: The path of the work dir looks like a template.
        LockedError: Another run with another config writes to the work dir, or is about to.
        WriteError: The work dir is not writable.
    """
    from mmlgd.utils.files import LockedError, refuse_link, sole_writer

    # The config contains the work dir's path, so that a later `train.py CONFIG --resume` finds the checkpoints.
    file, text = work_dir / 'recipe' / f'{verb}.py', text + _python(dict(work_dir=str(work_dir.resolve())))
    with ExitStack() as held:
        try:
            refuse_link(file.parent)
            held.enter_context(sole_writer(file.parent))
        except LockedError:
            # The same one is only read; but a detector's command may replace the data beside it, too.
            if overwrite or _read(file) != text:
                raise
        _write(file, text, overwrite, command_of)
        yield file


def _write(file: Path, text: str, overwrite: bool, command_of: Callable[[Path], list[str]]) -> None:
    from mmlgd.checkpoints.last import begin_anew
    from mmlgd.utils.files import sole_writer, write_whole

    if _read(file) == text:
        return
    work_dir = file.parents[1]
    with sole_writer(work_dir):  # never replace the config of an active run
        there = _read(file)
        is_moved = _is_moved(there, text)
        if there and not (is_moved or overwrite or _is_unused(file, there)):
            raise OtherConfigError(
                f'{file} is the config of another run (or has been edited): {_difference(there, text)}. Give '
                f'--overwrite, which replaces it, or another --work-dir; or train it as it is by\n'
                f'  {shlex.join(command_of(file))}'
            )
        if there and not is_moved:
            print(
                f'{shown(file)} was another config{"" if overwrite else ", which had trained nothing"}: it is replaced.'
            )
            begin_anew(work_dir)
        write_whole(file, text.encode())
        write_whole(file.with_suffix('.sha256'), _digest(text).encode())


def refuse_trained(work_dir: Path) -> None:
    """Refuse to train anew where this run has trained already: it would replace its checkpoints.

    Args:
        work_dir (Path): Work dir of the run.

    Raises:
        OtherConfigError: It has a checkpoint.
        CheckpointError: It has checkpoints, and none is complete.
    """
    from mmlgd.checkpoints.resume import last_whole_checkpoint

    if (checkpoint := last_whole_checkpoint(work_dir, 'train anew by --overwrite')) is not None:
        raise OtherConfigError(
            f'This run has trained already: {shown(checkpoint)}. Go on from it by --resume, which only evaluates '
            f'if it is finished; or train anew by --overwrite, which replaces it.'
        )


def _python(settings: dict) -> str:
    """Write settings as Python; none of them may be a template, which would run as part of the config."""
    from mmengine.config import Config

    from mmlgd.utils.substitution import refuse_substitution

    refuse_substitution(settings)
    return Config(settings).pretty_text.rstrip() + '\n'


def _read(file: Path) -> str:
    from mmlgd.utils.files import read_small

    return read_small(file).decode(errors='replace') if file.is_file() else ''


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _is_unused(file: Path, there: str) -> bool:
    """Find out whether a config is as it was written, and nothing was trained by it: the call before had a mistake."""
    from mmlgd.checkpoints.last import checkpoints_of

    work_dir = file.parents[1]
    bests = work_dir.glob('best_*.pth')  # which may come before the first numbered one
    has_trained = checkpoints_of(work_dir) or any(bests)
    return _read(file.with_suffix('.sha256')) == _digest(there) and not has_trained


def _is_moved(there: str, now: str) -> bool:
    """Find out whether configs differ in the place of their work dir alone, of itself and of the files in it.

    Longer paths move the line breaks of a config, so that its text tells nothing; comments are somebody's edit.
    """
    try:
        old, new = ast.parse(there), ast.parse(now)
        before, after = _work_dir(old), _work_dir(new)
        for one in ast.walk(old):
            if before and isinstance(one, ast.Constant) and f'{one.value}{os.sep}'.startswith(f'{before}{os.sep}'):
                one.value = f'{after}{one.value[len(before) :]}'
        return before != after and ast.dump(old) == ast.dump(new) and _comments(there) == _comments(now)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # it is anyone's
        return False


def _comments(config: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(config).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


def _work_dir(config: ast.Module) -> Optional[str]:
    """Read the last line of a config, without running it."""
    last = config.body[-1] if config.body else None
    is_said = isinstance(last, ast.Assign) and [getattr(one, 'id', None) for one in last.targets] == ['work_dir']
    value = last.value.value if is_said and isinstance(last.value, ast.Constant) else None
    return value if isinstance(value, str) else None


def _difference(there: str, now: str) -> str:
    """Quote the first line that differs."""
    pairs = enumerate(zip_longest(there.splitlines(), now.splitlines(), fillvalue=''), start=1)
    found = next(((k, pair) for k, pair in pairs if pair[0] != pair[1]), None)
    if found is None:
        return 'it has other line ends'
    number, (old, new) = found
    return f'its line {number} is `{old.strip()[:100]}`, and now `{new.strip()[:100]}`'
