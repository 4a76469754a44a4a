"""The report on runs: what was trained, what came of it, what it cost, and what to do next, in one HTML file."""

from pathlib import Path
from typing import Optional, Union

from mmlgd.errors import ConfigError, MissingFileError, MissingPackageError, shown
from mmlgd.utils.files import require_writable, write_whole
from mmlgd.utils.validation import listed, require, whole

# The libraries of a page and of figures are imported inside the function: the help must not wait for them.


def report(
    runs: Union[list[str], str, Path],
    *,
    images: Optional[Path] = None,
    max_images: int = 500,
    out: Path = Path('report.html'),
) -> Path:
    """Write a report on runs into one HTML file, which loads nothing and prints well.

    Runs are work dirs of pre-training and folders of ``mmlgd evaluate``, ``mmlgd prove``, ``mmlgd compare`` and ``mmlgd
    study``, in any order. The page begins with the answer; then it has what was trained, curves, student beside teacher
    and random, answers for your images, the banks, downstream tables, the cost, what to do next, and the commands to
    reproduce it. What a run does not have is left out.

    Args:
        runs (List[str] | str | Path): Folders of runs and results.
        images (Path, optional): Folder of images that the students answer for: the surest and least sure answers, with
            labels the confusions, and after training on places a segmentation. Images are labelled if they lie in a
            class folder for each name, in the order of the names. Defaults to None: no images.
        max_images (int): Maximum number of these images, evenly spread over all. Defaults to 500.
        out (Path): The file to write. Defaults to report.html.

    Returns:
        Path: The file.

    Raises:
        MissingFileError: A folder does not exist.
        ConfigError: A folder is none of these, a table in it is damaged, or there are no runs to show images to.
        CheckpointError: A checkpoint is damaged, or would run code.
        MissingPackageError: jinja2, plotly or pydantic is not installed.
        WriteError: The file cannot be written; this is checked first.

    Examples:
        >>> import mmlgd
        >>> mmlgd.report('work_dirs/RUN', images='photos')  # doctest: +SKIP
        PosixPath('report.html')
    """
    max_images, out = whole('images', 1, 10**5)(max_images), Path(out)
    folders = [Path(one) for one in listed(runs)]
    require(bool(folders), 'There is nothing to report: give at least one folder of a run.')
    require(
        out.suffix.lower() in ('.html', '.htm'), f'A report goes into a file such as report.html; got {shown(out)!r}.'
    )
    try:
        from .page import sections_of
        from .writing import html_of
    except ImportError as error:
        raise MissingPackageError(f'{error}. A report needs it: `pip install "mmlgd[report]"`.') from error
    from mmlgd.datasets.folder import require_outside

    from .folders import read_folder
    from .training import Training

    if images is not None:
        images = Path(images)
        if not images.is_dir():
            raise MissingFileError(f'--images expects a folder of images; there is no folder at {shown(images)}.')
        require_outside(out, images, 'The report', '--out')
    require_writable(out.parent)
    found = [read_folder(folder) for folder in folders]
    has_student = any(isinstance(one, Training) and one.text for one in found)
    if images is not None and not has_student:
        raise ConfigError(
            '--images needs a student: give the work dir of a pre-training that has a checkpoint with names.'
        )
    title, sections = sections_of(found, images, max_images, out)
    out.parent.mkdir(parents=True, exist_ok=True)
    # Names of files need not be UTF-8.
    write_whole(out, html_of(title, sections).encode('utf-8', errors='backslashreplace'))
    return out
