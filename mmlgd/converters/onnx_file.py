"""A student as an ONNX file: the backbone, backbone + neck, or a classifier or segmentor by names with its text bank.

The input is a float32 batch of preprocessed images, (N, 3, HEIGHT, WIDTH) with any N. A segmentor takes any height and
width in whole places if its backbone does. How to preprocess (mean, std,
colour order, on pixels 0..255) and the class names are in the file's metadata_props.
"""

import json
import warnings
from pathlib import Path
from typing import Any, Optional, Union

import torch
from torch import Tensor, nn

from mmlgd.checkpoints import CheckpointError
from mmlgd.datasets.sizes import LARGEST
from mmlgd.errors import ConfigError, MissingPackageError, sentence
from mmlgd.student import Student, get_zero_shot_classifier
from mmlgd.student.image_size import image_size
from mmlgd.student.saved import SavedStudent
from mmlgd.utils.validation import whole
from mmlgd.version import __version__

from .segmentation import SegmentationScores
from .written import Written, whole_output

OUTPUTS = {'backbone': 'feature', 'embedding': 'embedding', 'zero-shot': 'scores', 'segmentation': 'scores'}
NAMED = ('zero-shot', 'segmentation')
TOLERANCE = 1e-4
# Versions that torch's exporter writes; outside of them it prints the whole graph before its error. A segmentor resizes
# its scores, and versions before 11 have no such operator, or another one.
FIRST_OPSET, LAST_OPSET = {**dict.fromkeys(OUTPUTS, 8), 'segmentation': 11}, 20


class LastFeature(nn.Module):
    """A backbone that returns only its last feature.

    Args:
        backbone (nn.Module): Returns a tuple of features.
    """

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, C, h, w)."""
        return self.backbone(images)[-1]


def export_onnx(
    student: SavedStudent,
    out: Path,
    part: str = 'backbone',
    names: Union[str, Path, list, dict, None] = None,
    templates: Union[str, list, None] = None,
    teacher_options: Optional[dict] = None,
    size: Optional[int] = None,
    opset: int = 17,
) -> Written:
    """Write an ONNX file; it is kept only if onnxruntime gives PyTorch's output at two batch sizes.

    Args:
        student (SavedStudent): The student.
        out (Path): The file to write.
        part (str): One of :data:`OUTPUTS`. Defaults to ``'backbone'``.
        names (str | Path | list | dict, optional): Class names of the zero-shot classifier. Defaults to None: the names
            of training.
        templates (str | list, optional): Prompt templates. Defaults to None: the templates of training.
        teacher_options (dict, optional): Changes to the config of the teacher that embeds new names. Defaults to None.
        size (int, optional): Height and width of an image; of ``'segmentation'``, rounded to whole places. Defaults to
            None, the student's own.
        opset (int): Version of ONNX's operators, from 8 to 20; of ``'segmentation'``, from 11. Defaults to 17.

    Returns:
        Written: The file.

    Raises:
        MissingPackageError: onnx or onnxruntime is missing.
        ConfigError: The part is unknown, names are given for a part without names, the opset is out of its range, or
            the student takes no images of this size.
        CheckpointError: The checkpoint lacks the part, or onnxruntime's output differs from PyTorch's.
    """
    if part not in OUTPUTS:
        raise ConfigError(f'part is {part!r}, expected one of {", ".join(OUTPUTS)}.')
    opset = whole("opset, a version of ONNX's operators,", FIRST_OPSET[part], LAST_OPSET)(opset)
    if part not in NAMED and any(one is not None for one in (names, templates, teacher_options)):
        raise ConfigError(
            f'names, templates and teacher_options are for the part {" or ".join(NAMED)}; {part} has no class names. '
            f'Leave them out, or export such a part.'
        )
    _import_onnx()  # check this before a teacher embeds thousands of names
    height, width = (whole('pixels', 1, LARGEST)(size),) * 2 if size is not None else image_size(student.config)
    module, metadata = load_part(student, part, names, templates, teacher_options)
    if part == 'segmentation':
        height, width = module.whole((height, width))
    _require_size(module, student, (height, width))
    # Readers of input_size expect one number for a square image.
    metadata['input_size'] = str(height) if height == width else f'{height}, {width}'
    shapes, sizes = [(1, height, width), (3, height, width)], f'{height}, {width}'
    with whole_output(out, student.source) as file:
        if getattr(module, 'takes_any_size', False) and _has_any_size(module, file, metadata, (height, width), opset):
            sizes = f'H, W in steps of {metadata["cell"]}'
        else:
            _write(module, file, OUTPUTS[part], metadata, (height, width), {0: 'batch'}, opset)
        difference = _compare(module, file, shapes)
    return Written(
        file=out,
        content=f'images (N, 3, {sizes}) float32 -> {OUTPUTS[part]}',
        check='onnxruntime agrees with PyTorch at N = 1, 3',
        difference=difference,
        notes=(f'Pixels 0..255, {metadata["color_order"]}, minus {metadata["mean"]}, divided by {metadata["std"]}.',),
        usage=(
            f"session = onnxruntime.InferenceSession({str(out)!r}, providers=['CPUExecutionProvider'])\n"
            f'({OUTPUTS[part]},) = session.run(None, dict(images=images))\n'
            f'how = session.get_modelmeta().custom_metadata_map  # mean, std, colour order, class names'
        ),
    )


def load_part(
    student: SavedStudent,
    part: str,
    names: Union[str, Path, list, dict, None] = None,
    templates: Union[str, list, None] = None,
    teacher_options: Optional[dict] = None,
) -> tuple[nn.Module, dict[str, str]]:
    """Load the part to export.

    Args:
        student (SavedStudent): The student.
        part (str): One of :data:`OUTPUTS`.
        names (str | Path | list | dict, optional): See :func:`export_onnx`.
        templates (str | list, optional): See :func:`export_onnx`.
        teacher_options (dict, optional): See :func:`export_onnx`.

    Returns:
        Tuple[nn.Module, Dict[str, str]]: A module of one input and one output in eval mode, and the metadata.

    Raises:
        CheckpointError: The checkpoint lacks the part.
        VocabularyError: The names are invalid.
    """
    pixels = student.pixels()
    metadata = dict(
        mmlgd_version=__version__,
        part=part,
        mean=json.dumps(pixels.mean),
        std=json.dumps(pixels.std),
        color_order=pixels.order,
        preprocessing='(pixel - mean) / std, pixels 0..255',
    )
    if part in NAMED:
        named = get_zero_shot_classifier(student, names, templates, teacher_options)
        metadata['class_names'] = json.dumps(named.names, ensure_ascii=False)
        return named if part == 'zero-shot' else SegmentationScores(named).eval(), metadata
    if part == 'backbone':
        return LastFeature(student.build('backbone')).eval(), metadata
    embedder = Student(student, device='cpu')
    if embedder.neck is None:
        raise CheckpointError(
            f'{student.source} has no neck, so it has no embedding: it is only a backbone. Export the part backbone, '
            f'or give the checkpoint of LGD training.'
        )
    return nn.Sequential(embedder.backbone, embedder.neck).eval(), metadata


@torch.no_grad()
def _require_size(module: nn.Module, student: SavedStudent, size: tuple[int, int]) -> None:
    try:
        module(torch.zeros(1, 3, *size))
    except Exception as error:  # each library has its own error for a size that its model does not support
        own = ' x '.join(map(str, image_size(student.config)))
        raise ConfigError(
            f'{student.source} takes no images of {size[0]} x {size[1]} pixels: {sentence(error)} The size of its '
            f'training is {own}: leave --size out for it, or give another size.'
        ) from error


def _has_any_size(
    module: SegmentationScores, file: Path, metadata: dict[str, str], size: tuple[int, int], opset: int
) -> bool:
    """Write a segmentor for images of any size, and check it at another one.

    The graph of some backbones keeps the size that it was written with, in position embeddings or paddings.
    """
    (down, right), axes = module.cell, {0: 'batch', 2: 'height', 3: 'width'}
    _write(module, file, 'scores', {**metadata, 'cell': f'{down}, {right}'}, size, axes, opset)
    try:
        _compare(module, file, [(1, down * (size[0] // down + 1), right * (size[1] // right + 2))])
    except Exception:  # a CheckpointError of ours, or an error of onnxruntime's own
        return False
    metadata['cell'] = f'{down}, {right}'
    return True


def _write(
    module: nn.Module,
    file: Path,
    output: str,
    metadata: dict[str, str],
    size: tuple[int, int],
    axes: dict[int, str],
    opset: int,
) -> None:
    onnx, _ = _import_onnx()
    with warnings.catch_warnings():
        # torch recommends its newer exporter, but that needs another package (onnxscript) and sets names and shapes
        # differently in each version. This exporter gives the same file on torch 2.6 to 2.13.
        warnings.simplefilter('ignore')
        try:
            torch.onnx.export(
                module,
                (torch.zeros(2, 3, *size),),
                str(file),
                input_names=['images'],
                output_names=[output],
                dynamic_axes={'images': axes, output: axes},
                opset_version=opset,
                dynamo=False,
            )
        except (
            ValueError,
            RuntimeError,
        ) as error:  # unsupported operators raise either; the message has the graph
            raise ConfigError(
                f"torch cannot write this student with version {opset} of ONNX's operators: "
                f'{sentence(str(error).splitlines()[0], 200)} Try another opset.'
            ) from error
    model = onnx.load(str(file))
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    onnx.save(model, str(file))


@torch.no_grad()
def _compare(module: nn.Module, file: Path, shapes: list[tuple[int, int, int]]) -> float:
    """Compare onnxruntime with PyTorch; return the largest difference, relative to the largest value."""
    _, onnxruntime = _import_onnx()
    session = onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    differences = []
    for batch, *size in shapes:
        images = torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(batch))
        expected = module(images)
        got = torch.from_numpy(session.run(None, {'images': images.numpy()})[0])
        if got.shape != expected.shape:
            raise CheckpointError(f'The ONNX file gives {tuple(got.shape)}, PyTorch {tuple(expected.shape)}.')
        differences.append(((got - expected).abs().max() / expected.abs().max()).item())
        if not differences[-1] <= TOLERANCE:  # also True for NaN
            raise CheckpointError(
                f'At batch {batch}, onnxruntime differs from PyTorch by {differences[-1]:.1g} of the largest value, '
                f'expected at most {TOLERANCE:.0g}. Try another opset, or check for weights that are not finite. The '
                f'graph of some backbones (Swin) keeps the batch size that it was written with: they have no such file.'
            )
    return max(differences)


def _import_onnx() -> tuple[Any, Any]:
    try:
        import onnx  # an optional package, as onnxruntime
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError(f'{error}. Export and check need: pip install "mmlgd[export]".') from error
    return onnx, onnxruntime
