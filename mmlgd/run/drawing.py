"""Draws figures: a map, the banks, nearest names."""

from pathlib import Path
from typing import Literal, Optional, Union

from mmlgd.utils.files import require_writable
from mmlgd.utils.validation import listed, require, whole

# Large packages are imported inside functions: the help of `mmlgd show`, which reads this module, must not wait for
# them.


def draw_map(
    checkpoint: Union[str, Path],
    images: Union[list[str], str, Path],
    *,
    names: Union[list[str], str, Path, dict, None] = None,
    teacher_options: Optional[dict] = None,
    method: Literal['tsne', 'umap'] = 'tsne',
    max_images: int = 2000,
    classes: int = 12,
    seed: int = 0,
    out: Union[str, Path, None] = None,
) -> Path:
    """Draw a map of images as student and teacher embed them, side by side, coloured by the teacher's pseudo class.

    No labels are needed. Both maps have the same colours; the student's map is rotated to match the teacher's as
    closely as possible. A dark ring marks an image for which the student's class differs from the teacher's. t-SNE is
    scikit-learn's; umap needs ``pip install umap-learn``.

    Args:
        checkpoint (str | Path): A checkpoint of LGD training, or its published file.
        images (List[str] | str | Path): Files or folders.
        names (List[str] | str | Path | dict, optional): Class names: a text file, a known set, or two or more names.
            Defaults to None: the names of training.
        teacher_options (dict, optional): Changes to the teacher's config, such as pretrained=FILE. Defaults to None.
        method (str): Layout. Defaults to tsne.
        max_images (int): Maximum number of images, evenly spread. Defaults to 2000.
        classes (int): Number of the most frequent pseudo classes that get a colour, at most 12; the others are grey.
            Defaults to 12.
        seed (int): Seed of the layouts. Defaults to 0.
        out (str | Path, optional): The file to write, ``.png`` or another format of matplotlib. Defaults to
            embeddings.png beside the checkpoint.

    Returns:
        Path: The file.

    Raises:
        CheckpointError: The checkpoint is not from LGD training.
        ConfigError: ``out`` is no file for a figure, a number is out of its range, or there are too few images.
        ImportError: The library of the method is not installed.
        WriteError: The folder is not writable; this is checked first.

    Examples:
        >>> import mmlgd
        >>> mmlgd.draw_map('work_dirs/lgd/epoch_200.pth', ['photos'])  # doctest: +SKIP
    """
    from matplotlib import rc_context

    from mmlgd.figures.looking import beside, look, require_figure, save
    from mmlgd.figures.maps import map_of
    from mmlgd.utils.seeds import seed_number
    from mmlgd.utils.style import CLASSES, STYLE

    max_images, classes = whole('images', 10, 10**6)(max_images), whole('classes', 0, len(CLASSES))(classes)
    seed = seed_number(seed)
    out = require_figure(beside(checkpoint, 'embeddings.png') if out is None else out)
    seen = look(checkpoint, images, max_images, True, names, teacher_options)
    with rc_context(STYLE):
        return save(map_of(seen, method, classes, seed), out)


def draw_banks(checkpoints: Union[list[str], str, Path], *, out_dir: Union[str, Path, None] = None) -> list[Path]:
    """Draw both banks of a run: similarities of their rows and, with several checkpoints, drift of the prototypes.

    banks.png shows the latest checkpoint; with two or more checkpoints, drift.png is drawn, too. Neither teacher nor
    images are needed. To keep a checkpoint after each epoch, train with default_hooks.checkpoint.interval=1
    default_hooks.checkpoint.max_keep_ckpts=-1.

    Args:
        checkpoints (List[str] | str | Path): Checkpoints of one run, in any order.
        out_dir (str | Path, optional): Folder for the figures. Defaults to that of the first checkpoint.

    Returns:
        List[Path]: The PNGs.

    Raises:
        CheckpointError: A checkpoint has no banks, or a queue of images instead of the visual bank.
        ConfigError: There are no checkpoints, or they have different class names.
        WriteError: The folder is not writable; this is checked first.

    Examples:
        >>> import mmlgd
        >>> mmlgd.draw_banks(['work_dirs/lgd/epoch_100.pth', 'work_dirs/lgd/epoch_200.pth'])  # doctest: +SKIP
    """
    from matplotlib import rc_context

    from mmlgd.figures.banks import cosines_of, drift_of, read_banks
    from mmlgd.figures.looking import beside, save
    from mmlgd.utils.style import STYLE

    checkpoints = listed(checkpoints)
    require(bool(checkpoints), 'There are no banks to draw: give at least one checkpoint.')
    out_dir = beside(checkpoints[0], 'banks.png').parent if out_dir is None else Path(out_dir)
    require_writable(out_dir)
    run = sorted((read_banks(file) for file in checkpoints), key=lambda banks: (banks.epoch, banks.step))
    require(
        all(banks.names == run[0].names for banks in run),
        'The checkpoints have different class names: give checkpoints of one run.',
    )
    with rc_context(STYLE):
        drawn = [save(cosines_of(run[-1]), out_dir / 'banks.png')]
        if len(run) > 1:
            drawn.append(save(drift_of(run), out_dir / 'drift.png'))
    return drawn


def draw_neighbours(
    checkpoint: Union[str, Path],
    images: Union[list[str], str, Path],
    *,
    names: Union[list[str], str, Path, dict, None] = None,
    teacher_options: Optional[dict] = None,
    max_images: int = 12,
    topk: int = 4,
    out: Union[str, Path, None] = None,
) -> Path:
    """Draw images with their nearest class names and prototypes in the joint space.

    This needs only the student. Class names are rows of the textual bank. Prototypes are the visited rows of the visual
    bank: means of the images that the teacher assigned to a class. Other names change only the class names.

    Args:
        checkpoint (str | Path): A checkpoint of LGD training, or its published file.
        images (List[str] | str | Path): Files or folders.
        names (List[str] | str | Path | dict, optional): Class names: a text file, a known set, or two or more names.
            Defaults to None: the names of training.
        teacher_options (dict, optional): Changes to the config of the teacher that embeds other names, such as
            pretrained=FILE. Defaults to None.
        max_images (int): Maximum number of images, evenly spread. Defaults to 12.
        topk (int): Number of nearest names and of nearest prototypes. Defaults to 4.
        out (str | Path, optional): The file to write, ``.png`` or another format of matplotlib. Defaults to
            neighbours.png beside the checkpoint.

    Returns:
        Path: The file.

    Raises:
        CheckpointError: The checkpoint is not from LGD training.
        ConfigError: ``out`` is no file for a figure, a number is out of its range.
        WriteError: The folder is not writable; this is checked first.

    Examples:
        >>> import mmlgd
        >>> mmlgd.draw_neighbours('work_dirs/lgd/epoch_200.pth', ['photos'])  # doctest: +SKIP
    """
    from matplotlib import rc_context

    from mmlgd.figures.looking import beside, look, require_figure, save
    from mmlgd.figures.neighbours import neighbours_of, read_prototypes
    from mmlgd.utils.style import STYLE

    max_images, topk = whole('images', 1, 10**4)(max_images), whole('neighbours', 1, 100)(topk)
    out = require_figure(beside(checkpoint, 'neighbours.png') if out is None else out)
    seen = look(checkpoint, images, max_images, False, names, teacher_options)
    with rc_context(STYLE):
        return save(neighbours_of(seen, read_prototypes(checkpoint), topk), out)
