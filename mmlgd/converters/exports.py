"""Export of students: one table of targets, one function."""

import inspect
from functools import partial
from pathlib import Path
from typing import Callable, Literal, Optional, Union

from mmlgd.errors import ConfigError

from .written import Written, require_output

# Large packages are imported inside functions: the help of `mmlgd export`, which reads this module, must not wait for
# them.


def export(
    checkpoint: Union[str, Path],
    out: Union[str, Path],
    *,
    to: Literal['onnx', 'torchvision', 'timm', 'mmpretrain', 'mmdet', 'mmseg'],
    part: Optional[Literal['backbone', 'embedding', 'zero-shot', 'segmentation']] = None,
    names: Union[list[str], str, Path, dict, None] = None,
    templates: Union[str, list, None] = None,
    teacher_options: Optional[dict] = None,
    size: Optional[int] = None,
    opset: Optional[int] = None,
) -> Written:
    """Export a student to ONNX or to another library.

    Before the file appears, the target library loads the result and its output is compared with the student's on random
    images of the student's own size. If this fails, no file is left.

    Args:
        checkpoint (str | Path): A checkpoint of training, ``mmlgd publish`` or ``mmlgd convert``, as a file or URL.
        out (str | Path): The file to write.
        to (str): ``onnx``; ``torchvision`` or ``timm`` for a bare state dict with their key names; ``mmpretrain``,
            ``mmdet`` or ``mmseg`` for a file with ``backbone.`` keys, for ``init_cfg=dict(type='Pretrained', ...)``.
        part (str, optional): For ``onnx``. ``backbone``: the last feature map; ``embedding``: unit vectors in the joint
            space; ``zero-shot``: scores of class names; ``segmentation``: scores of class names at each pixel. Defaults
            to ``backbone``.
        names (List[str] | str | Path | dict, optional): For ``zero-shot`` and ``segmentation``: class names: a text
            file, a known set (``in1k``, ``coco``, ...), or the names themselves. Defaults to the names of training.
        templates (str | list, optional): Likewise: prompt templates: openai-imagenet-80, openai-imagenet-7, plain, or
            sentences with one {} each. Defaults to the templates of training.
        teacher_options (dict, optional): Likewise: changes to the config of the teacher that embeds the names,
            such as ``pretrained=TAG:FILE``. A teacher in a file or a folder must be named.
        size (int, optional): For ``onnx``: height and width of an image in pixels; of ``segmentation``, rounded to
            whole places. Defaults to the student's own.
        opset (int, optional): For ``onnx``: version of ONNX's operators, from 8 to 20; of ``segmentation``, from 11.
            Defaults to 17.

    Returns:
        Written: The file, how it was checked, and code that uses it.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ImportError: The library is not installed.
        ConfigError: The target has no such option, or the output cannot be written to this file.
        CheckpointError: The checkpoint is truncated or has no student, or the library does not support it.

    Examples:
        >>> import mmlgd
        >>> mmlgd.export('epoch_200.pth', 'student.pth', to='keras')  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        mmlgd.errors.ConfigError: A student goes to onnx, torchvision, timm, mmpretrain, mmdet or mmseg, got 'keras'...
    """
    from mmlgd.checkpoints.files import require_source
    from mmlgd.student.saved import SavedStudent
    from mmlgd.utils.seeds import seeded

    writers = targets()
    if to not in writers:
        *most, last = writers
        raise ConfigError(f'A student goes to {", ".join(most)} or {last}, got {to!r}. Give one of them.')
    options = dict(part=part, names=names, templates=templates, teacher_options=teacher_options, size=size, opset=opset)
    given = {name: value for name, value in options.items() if value is not None}
    takes = inspect.signature(writers[to]).parameters
    if unknown := [name for name in given if name not in takes]:
        has = [target for target, write in writers.items() if unknown[0] in inspect.signature(write).parameters]
        raise ConfigError(f'The target {to} has no option {unknown[0]}; only {", ".join(has)} has it. Leave it out.')
    require_source(checkpoint)
    out = Path(out)
    require_output(out, str(checkpoint))
    with seeded(0):  # the libraries' models draw weights, which are replaced: the caller's random numbers stay
        return writers[to](SavedStudent.read(checkpoint), out, **given)


def targets() -> dict[str, Callable[..., Written]]:
    """Get the functions that write a student, by target.

    To add a target, write a module with such a function, and add a line here and the name to the hint of
    :func:`export`. Options of only this target are parameters of both functions.

    Returns:
        Dict[str, Callable]: Each takes a :class:`~mmlgd.student.saved.SavedStudent`, the file, and its options.
    """
    from .onnx_file import export_onnx
    from .openmmlab_backbones import export_openmmlab
    from .plain_models import export_timm, export_torchvision

    return {
        'onnx': export_onnx,
        'torchvision': export_torchvision,
        'timm': export_timm,
        'mmpretrain': partial(export_openmmlab, 'mmpretrain'),
        'mmdet': partial(export_openmmlab, 'mmdet'),
        'mmseg': partial(export_openmmlab, 'mmseg'),
    }
