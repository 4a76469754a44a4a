"""Checks the inputs of a pre-training before anything is built: images, names, teacher, paths, GPUs."""

import os
from itertools import islice
from pathlib import Path
from typing import Optional, Union

from mmlgd.errors import ConfigError, MissingFileError, sentence

# Large packages are imported inside functions: the help of `mmlgd pretrain`, which reads this module, must not wait for
# them.


def path_of(value: Union[str, Path]) -> Path:
    """Expand a path that a user typed.

    Args:
        value (str | Path): A path, which may start with ``~``.

    Returns:
        Path: The path without ``~``; absolute if it would begin like an option of the commands that take it.

    Raises:
        ConfigError: There is no such user, or the value is empty or no path.
    """
    if value == '':  # an unset variable of a shell; for Path it would be the current folder
        raise ConfigError("A path is empty. Give a file or a folder; '.' is the current folder.")
    try:
        path = Path(value).expanduser()
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f'{str(value)!r} is not a valid path: {sentence(error)}') from error
    return path.absolute() if str(path).startswith('-') else path


def count_images(images: Path, most: int) -> int:
    """Count the images of a folder, or of shards, up to a limit: there may be millions.

    Args:
        images (Path): The folder, or what :func:`~mmlgd.datasets.shards.shards_of` reads.
        most (int): The limit.

    Returns:
        int: From 1 to ``most``.

    Raises:
        MissingFileError: The folder does not exist, or has no images; or a shard is missing.
        ShardError: A shard cannot be read.
    """
    from mmlgd.datasets.folder import images_in, no_images
    from mmlgd.datasets.shard_index import ShardIndex
    from mmlgd.datasets.shards import are_shards, shards_of
    from mmlgd.utils.paths import IMAGE_SUFFIXES

    if are_shards(images):  # listed as a whole: the training reads what is kept of it
        return min(most, len(ShardIndex(shards_of(images), IMAGE_SUFFIXES)))
    if not images.is_dir():
        raise MissingFileError(f'--images expects a folder of images; there is no folder at {str(images)!r}.')
    count = sum(1 for _ in islice(images_in(images, IMAGE_SUFFIXES), most))
    if not count:
        raise no_images(images, IMAGE_SUFFIXES)
    return count


def check_step(images: Path, count: int, batch_size: int, gpus: int) -> None:
    """Refuse a batch that is larger than the number of images.

    Args:
        images (Path): The folder, or the shards.
        count (int): Number of images.
        batch_size (int): Images per step and GPU.
        gpus (int): Number of GPUs.

    Raises:
        ConfigError: There are fewer images; the message gives options that work.
    """
    if count >= (wanted := batch_size * gpus):
        return
    if count // gpus >= 2:
        advice = f'give --batch-size {count // gpus} or less, or more images'
    elif count >= 2:
        advice = f'there are too few for so many GPUs: give --gpus {count // 2} or less and --batch-size 2'
    else:
        advice = 'give more images: a step needs at least 2'
    raise ConfigError(
        f'{str(images)!r} has {count} images, but a step needs {wanted} (--batch-size {batch_size} on {gpus} '
        f'card(s)): {advice}.'
    )


def check_cards(gpus: int) -> None:
    """Refuse more GPUs than there are. With gpus=1 and no GPU, training uses the CPU.

    Args:
        gpus (int): Number of GPUs.

    Raises:
        ConfigError: This machine has fewer.
    """
    import torch

    if gpus > 1 and (found := torch.cuda.device_count()) < gpus:
        raise ConfigError(
            f'--gpus {gpus} was given, but torch finds {found} on this machine: give --gpus {max(1, found)}, or run '
            f'`mmlgd doctor` to find the reason.'
        )


def check_places(
    images: Path, vocabulary: Union[str, list, dict], teacher: dict, work_dir: Path, store: Optional[Path]
) -> None:
    """Refuse output inside the folder of images, and paths in which mmengine would substitute config variables.

    Args:
        images (Path): Folder of images, or shards.
        vocabulary (str | list | dict): Class names.
        teacher (dict): Config of the teacher.
        work_dir (Path): Work dir of the run.
        store (Path, optional): The teacher store.

    Raises:
        ConfigError: The work dir or the store is in the folder of images; or a path has such a part, see
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


def vocabulary_of(names: Union[str, Path, list, tuple, dict], fewest: int = 2) -> Union[str, list, dict]:
    """Read the class names in advance, so that errors in them show immediately.

    Args:
        names (str | Path | list | dict): Any vocabulary that :func:`~mmlgd.text.load_vocabulary` reads.
        fewest (int): 1 for the names of a data set, which may have one class. Defaults to 2, for a pre-training.

    Returns:
        str | list | dict: Value for ``model.text.vocabulary``, with absolute paths.

    Raises:
        MissingFileError: A name is neither a file nor a known set.
        VocabularyError: There are fewer names, or an empty or duplicate one.
    """
    from mmlgd.text import VocabularyError, load_vocabulary

    vocabulary = _placed(names)
    if len(found := load_vocabulary(vocabulary)) < fewest:
        raise VocabularyError(
            f'There is a single class name, {found[0]!r}. A student learns to distinguish names, so give two or more: '
            f'add names of other things in the images, or a known set, as in `mmlgd pretrain --names FILE coco`.'
        )
    return vocabulary


def _placed(names: Union[str, Path, list, tuple, dict]) -> Union[str, list, dict]:
    """Make the paths in a vocabulary absolute: training reads the files again."""
    from mmlgd.text import listed, load_vocabulary

    # Many names in one text are no path: Path.is_file raises.
    if isinstance(names, str) and not os.path.isfile(path_of(names)):
        names = listed(names) or names
    if isinstance(names, (str, Path)):
        return _source(names)
    if isinstance(names, dict) and isinstance(names.get('union'), (list, tuple)):
        return dict(names, union=[_placed(member) for member in names['union']])
    return load_vocabulary(names)


def _source(name: Union[str, Path]) -> str:
    from mmlgd.text import list_vocabularies

    if str(name) in list_vocabularies():
        return str(name)
    path = path_of(name)
    if not os.path.isfile(path):
        if os.path.exists(path):
            kind = 'a folder' if path.is_dir() else 'a pipe or a device, as `<(...)` of a shell is'
            raise MissingFileError(
                f'{str(name)!r}, given for the names, is {kind}. Write the names into a regular text file, one a '
                f'line; training reads it again.'
            )
        raise MissingFileError(
            f'There is no file of names {str(name)!r}, and no set of that name. Check the path of the text file, which '
            f'has one name a line, or give one of the sets {", ".join(list_vocabularies())}. Or give the names '
            f'themselves: in quotes, with commas between them, as in `--names "cat,red panda"`; in Python, as a list.'
        )
    return str(path.resolve())


def teacher_settings(teacher: Union[str, dict]) -> dict:
    """Turn ``--teacher`` into a teacher's config, and refuse unknown teachers.

    Args:
        teacher (str | dict): See :func:`mmlgd.pretrain`.

    Returns:
        dict: Value for ``model.teacher``.

    Raises:
        ImportError: ConSE's packages are not installed.
        MissingFileError: The folder does not exist.
        ConfigError: open_clip has no such model or tag.
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
        if not os.path.isfile(folder / 'open_clip_config.json'):
            raise MissingFileError(f'--teacher local-dir:DIR needs a folder with open_clip_config.json, got {place!r}.')
        return dict(type='mmlgd.OpenCLIPTeacher', model=f'local-dir:{folder}')
    if kind == 'hf-hub':
        return dict(type='mmlgd.OpenCLIPTeacher', model=teacher)
    return dict(type='mmlgd.OpenCLIPTeacher', model=kind, pretrained=_weights(kind, place))


def with_looks(teacher: dict, looks: Optional[str], share: Optional[float]) -> dict:
    """Put the looks of ``--looks`` beside a teacher for words.

    Args:
        teacher (dict): Config of the teacher.
        looks (str, optional): ``'library:model'`` or ``'logits'``. None: the teacher stays as it is.
        share (float, optional): The share of looks. None: the default of a pair.

    Returns:
        dict: Config of a pair, whose looks are a dict, so that ``--cfg-options`` can change their settings.

    Raises:
        ConfigError: The teacher has looks already; the looks are a map of similarities, which needs a term of its own;
            or the share is out of its range, or stands alone.
    """
    from mmlgd.models.teachers.settings import looks_settings, names_scale
    from mmlgd.utils.validation import require

    if looks is None:
        require(share is None, f'--looks-share {share} needs looks: add --looks logits, or --looks timm:NAME.')
        return teacher
    require('looks' not in teacher, f'--looks {looks} was given, but the teacher is a pair, which has looks already.')
    kind, settings = looks_settings(looks)
    require(
        kind != 'similarity',
        f'--looks {looks} is a map of similarities, which needs a term in the loss: see "Only similarities" in '
        f'docs/teachers.md. Give --looks timm:NAME for the features of a backbone.',
    )
    shares = {} if share is None else dict(looks_share=share)
    pair = dict(type='mmlgd.TeacherPair', words=teacher, looks=settings or looks, **shares)
    names_scale(pair)  # checks the share
    return pair


def check_teacher(teacher: dict, count: int, dense: bool, store: Optional[Path]) -> None:
    """Refuse a teacher that cannot be built or measured, or has no places; it is built once to see it.

    Args:
        teacher (dict): Config of the teacher, as training will read it.
        count (int): Number of images.
        dense (bool): Whether the pre-training compares places.
        store (Path, optional): The teacher store.

    Raises:
        StoreError: It is dense, and the store has no places.
        ConfigError: There are too few images for the statistics of looks, or a setting cannot be used.
        TeacherError: The teacher cannot be built, or has no places.
    """
    from mmlgd.models.teachers.base import no_places
    from mmlgd.models.teachers.looks.statistics import FEWEST
    from mmlgd.models.teachers.settings import build_teacher, lacks_statistics
    from mmlgd.store import DESCRIPTION, StoreError, TeacherStore
    from mmlgd.utils.validation import require

    if dense and store is not None and (store / DESCRIPTION).is_file() and not TeacherStore(store).places:
        raise StoreError(
            f'--dense compares places, and the teacher store in {str(store)!r} has none. Give another folder as '
            f'--store: a new store gets places.'
        )
    built = build_teacher(teacher, '--teacher')
    require(
        count >= FEWEST or not lacks_statistics(teacher),
        f'The looks of the teacher are measured on a few hundred images, and on at least {FEWEST}; there are {count}. '
        f'Give more images, or leave --looks out.',
    )
    if dense and not built.has_places:
        raise no_places(built.tower_name)


def _weights(model: str, place: str) -> str:
    """Check the weights of an open_clip model: a tag, a file, or a file with its tag."""
    import open_clip

    from mmlgd.models.teachers.weights import find_weights

    if model not in open_clip.list_models():
        raise ConfigError(
            f'open_clip has no model {model!r}. Examples: conse (which pip installs), RN50, ViT-B-32, ViT-B-16; '
            f'all of open_clip: python -c "import open_clip; print(*open_clip.list_models())"'
        )
    tags = open_clip.list_pretrained_tags_by_model(model)
    if not place:
        if 'openai' not in tags:
            raise ConfigError(f'--teacher {model} has several weights: give {model}:TAG with one of {", ".join(tags)}.')
        place = 'openai'
    tag, _, file = place.partition(':')
    if os.path.isfile(path_of(place)):
        place = str(path_of(place).resolve())
    elif tag in tags and file:
        place = f'{tag}:{path_of(file).resolve()}'
    find_weights(model, place)  # refuses an unknown tag and lists the known ones
    return place
