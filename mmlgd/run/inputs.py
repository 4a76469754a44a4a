"""What a pre-training is made from, looked at before anything is built: images, names, teacher, places, cards."""

from itertools import islice
from pathlib import Path
from typing import Optional, Union

from mmlgd.errors import ConfigError, MissingFileError

# Imports inside of functions are of large packages: the help of `mmlgd pretrain`, which reads this module, is not to
# wait for them.


def path_of(value: Union[str, Path]) -> Path:
    """Take a path as it was typed.

    Args:
        value (str | Path): With ``~`` for a home.

    Returns:
        Path: Without.

    Raises:
        ConfigError: It is in the home of nobody.
    """
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise ConfigError(f'{str(value)!r} is no path here: {error}') from error


def count_images(images: Path, most: int) -> int:
    """Count the images of a folder, as far as it matters: there may be millions.

    Args:
        images (Path): The folder.
        most (int): Where to stop.

    Returns:
        int: From 1 to ``most``.

    Raises:
        MissingFileError: There is no such folder, or no image in it.
    """
    from mmlgd.datasets.folder import images_in
    from mmlgd.utils.paths import IMAGE_SUFFIXES

    if not images.is_dir():
        raise MissingFileError(f'--images takes a folder of images; there is none at {str(images)!r}.')
    count = sum(1 for _ in islice(images_in(images, IMAGE_SUFFIXES), most))
    if not count:
        raise MissingFileError(f'No file in {str(images)!r} or its sub-folders ends with {", ".join(IMAGE_SUFFIXES)}.')
    return count


def check_step(images: Path, count: int, batch_size: int, gpus: int) -> None:
    """Refuse steps of more images than there are.

    Args:
        images (Path): The folder.
        count (int): Its images.
        batch_size (int): Images a step and card.
        gpus (int): Cards.

    Raises:
        ConfigError: There are fewer; the message gives options that work.
    """
    if count >= (wanted := batch_size * gpus):
        return
    if count // gpus >= 2:
        advice = f'give --batch-size {count // gpus} or less, or more images'
    elif count >= 2:
        advice = f'these are too few for that many cards: give --gpus {count // 2} or less and --batch-size 2'
    else:
        advice = 'give more images: a step takes 2 at least'
    raise ConfigError(
        f'{str(images)!r} has {count} images, and a step takes {wanted} (--batch-size {batch_size} on {gpus} '
        f'card(s)): {advice}.'
    )


def check_cards(gpus: int) -> None:
    """Refuse more cards than there are. One may be none: the training then takes the CPU.

    Args:
        gpus (int): Cards.

    Raises:
        ConfigError: This machine has fewer.
    """
    import torch

    if gpus > 1 and (found := torch.cuda.device_count()) < gpus:
        raise ConfigError(
            f'--gpus {gpus} takes as many cards, and torch finds {found} on this machine: give --gpus {max(1, found)}, '
            f'or let `mmlgd doctor` look for the others.'
        )


def check_places(
    images: Path, vocabulary: Union[str, dict], teacher: dict, work_dir: Path, store: Optional[Path]
) -> None:
    """Refuse to write into the folder of images, and paths that mmengine would read as templates out of the config.

    Args:
        images (Path): Folder of images.
        vocabulary (str | dict): Class names.
        teacher (dict): Config of the teacher.
        work_dir (Path): Of the run.
        store (Path, optional): The teacher store.

    Raises:
        ConfigError: The work dir or the store lies in the folder of images; or a path has such a part, see
            :mod:`mmlgd.utils.substitution`.
    """
    from mmlgd.datasets.folder import require_outside
    from mmlgd.utils.paths import place_of
    from mmlgd.utils.substitution import refuse_substitution

    require_outside(work_dir, images, 'The work dir', '--work-dir')
    if store is not None:
        require_outside(store, images, 'The store', '--store')
    refuse_substitution(
        {
            '--images': str(images.resolve()),
            '--names': vocabulary,
            '--teacher': teacher,
            '--work-dir': str(work_dir.resolve()),
            '--store': str(store or ''),
            'the place of mmlgd': str(place_of('configs')),
        }
    )


def vocabulary_of(names: Union[str, Path, list, tuple, dict]) -> Union[str, dict]:
    """Read the class names once, so that what is wrong with them shows at once.

    Args:
        names (str | Path | list | dict): Text files and known sets, which are joined; or, in a dict, any vocabulary
            that :func:`~mmlgd.text.load_vocabulary` reads.

    Returns:
        str | dict: What ``model.text.vocabulary`` takes, with absolute paths.

    Raises:
        MissingFileError: Neither a file nor a set.
        VocabularyError: Fewer than two names, or an empty or duplicate one.
    """
    from mmlgd.text import VocabularyError, load_vocabulary

    if isinstance(names, dict):
        vocabulary = names
    else:
        members = [_source(name) for name in ([names] if isinstance(names, (str, Path)) else names)]
        if not members:
            raise ConfigError('--names is empty. Give a text file of class names, one a line, or a known set.')
        vocabulary = members[0] if len(members) == 1 else dict(union=members)
    if len(found := load_vocabulary(vocabulary)) < 2:
        raise VocabularyError(
            f'--names has a single class name, {found[0]!r}. A student learns to tell names apart, so give two or '
            f'more: add names of other things that the images show, or a known set, as in --names FILE coco.'
        )
    return vocabulary


def _source(name: Union[str, Path]) -> str:
    from mmlgd.text import list_vocabularies

    if name in list_vocabularies():
        return str(name)
    path = path_of(name)
    if not path.is_file():
        kind = 'a folder' if path.is_dir() else 'a pipe or a device, as `<(...)` of a shell is' if path.exists() else ''
        got = f'{str(name)!r} is {kind}' if kind else f'there is no file {str(name)!r}'
        raise MissingFileError(
            f'--names takes a text file, one name a line, or one of {tuple(list_vocabularies())}; {got}. Write the '
            f'names into a file: training reads it again.'
        )
    return str(path.resolve())


def teacher_settings(teacher: Union[str, dict]) -> dict:
    """Turn ``--teacher`` into a teacher's config, and refuse what no library knows.

    Args:
        teacher (str | dict): See :func:`mmlgd.pretrain`.

    Returns:
        dict: For ``model.teacher``.

    Raises:
        ImportError: ConSE's packages are not installed.
        MissingFileError: There is no such folder.
        ConfigError: Not a model of open_clip, or not one of its tags.
    """
    from importlib.util import find_spec

    if isinstance(teacher, dict):
        return dict(teacher)
    if teacher == 'conse':
        missing = [m for m in ('sentence_transformers', 'efficientnet_lite_pytorch') if find_spec(m) is None]
        if missing:
            raise ImportError(f'--teacher conse needs {missing[0]}: pip install "mmlgd[conse]"')
        return dict(type='mmlgd.ConSETeacher')
    kind, _, place = teacher.partition(':')
    if kind == 'local-dir':
        folder = path_of(place).resolve()
        if not (folder / 'open_clip_config.json').is_file():
            raise MissingFileError(f'--teacher local-dir:DIR takes a folder with open_clip_config.json, got {place!r}.')
        return dict(type='mmlgd.OpenCLIPTeacher', model=f'local-dir:{folder}')
    if kind == 'hf-hub':
        return dict(type='mmlgd.OpenCLIPTeacher', model=teacher)
    return dict(type='mmlgd.OpenCLIPTeacher', model=kind, pretrained=_weights(kind, place))


def _weights(model: str, place: str) -> str:
    """Weights of an open_clip model: a tag, a file, or a file of a tag."""
    import open_clip

    from mmlgd.models.teachers.weights import find_weights

    if model not in open_clip.list_models():
        raise ConfigError(
            f'open_clip knows no model {model!r}. Some it knows: RN50, ViT-B-32, ViT-B-16, MobileCLIP-S1; all: '
            f'python -c "import open_clip; print(*open_clip.list_models())"'
        )
    tags = open_clip.list_pretrained_tags_by_model(model)
    if not place:
        if 'openai' not in tags:
            raise ConfigError(f'--teacher {model} has several weights: give one as {model}:TAG of {", ".join(tags)}.')
        place = 'openai'
    tag, _, file = place.partition(':')
    if path_of(place).is_file():
        place = str(path_of(place).resolve())
    elif tag in tags and file:
        place = f'{tag}:{path_of(file).resolve()}'
    find_weights(model, place)  # refuses an unknown tag, and names the known ones
    return place
