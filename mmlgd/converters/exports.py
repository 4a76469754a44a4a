"""Export of students: one table of targets, one function."""

import inspect
from functools import partial
from pathlib import Path
from typing import Literal, Optional, Union

from mmlgd.checkpoints.files import require_source
from mmlgd.errors import ConfigError
from mmlgd.student.saved import SavedStudent
from mmlgd.utils.seeds import seeded

from .onnx_file import export_onnx
from .openmmlab_backbones import export_openmmlab
from .plain_models import export_timm, export_torchvision
from .written import Written, require_output

# To add a target, write a module with such a function and add a line here. Options of only this target are parameters
# of the function and of export() below.
TARGETS = {
    'onnx': export_onnx,
    'torchvision': export_torchvision,
    'timm': export_timm,
    'mmpretrain': partial(export_openmmlab, 'mmpretrain'),
    'mmdet': partial(export_openmmlab, 'mmdet'),
    'mmseg': partial(export_openmmlab, 'mmseg'),
}


def export(
    checkpoint: Union[str, Path],
    out: Union[str, Path],
    *,
    to: Literal[tuple(TARGETS)],
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
        names (List[str] | str | Path | dict, optional): For ``zero-shot`` and ``segmentation``: a text file, a known
            set (``in1k``, ``coco``, ...), or the names themselves. Defaults to the names of training.
        templates (str | list, optional): Likewise: prompt templates, a known set (``plain``, ...) or a list.
            Defaults to the templates of training.
        teacher_options (dict, optional): Likewise: changes to the config of the teacher that embeds the names,
            such as ``pretrained=TAG:FILE``. A teacher in a file or a folder must be named.
        size (int, optional): For ``onnx``: height and width of an image in pixels. Defaults to the student's own.
        opset (int, optional): For ``onnx``: version of ONNX's operators. Defaults to 17.

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
    if to not in TARGETS:
        *most, last = TARGETS
        raise ConfigError(f'A student goes to {", ".join(most)} or {last}, got {to!r}. Give one of them.')
    options = dict(part=part, names=names, templates=templates, teacher_options=teacher_options, size=size, opset=opset)
    given = {name: value for name, value in options.items() if value is not None}
    takes = inspect.signature(TARGETS[to]).parameters
    if unknown := [name for name in given if name not in takes]:
        has = [target for target, write in TARGETS.items() if unknown[0] in inspect.signature(write).parameters]
        raise ConfigError(f'The target {to} has no option {unknown[0]}; only {", ".join(has)} has it. Leave it out.')
    require_source(checkpoint)
    out = Path(out)
    require_output(out, str(checkpoint))
    with seeded(0):  # the libraries' models draw weights, which are replaced: the caller's random numbers stay
        return TARGETS[to](SavedStudent.read(checkpoint), out, **given)
