"""Export a student to ONNX: the backbone, backbone + neck, or the zero-shot classifier with its text bank baked in.

The input is a float32 batch of preprocessed pictures, (N, 3, HEIGHT, WIDTH) with any N, by default of the size that the
student was trained for. How to preprocess (mean, std, colour order, on pixels 0..255) and the class names are in the
file's metadata_props. Before the file is left in place, onnxruntime must give what PyTorch gives, at two batch sizes.
Needs: pip install "mmlgd[export]".
"""

import argparse
import json
import warnings
from pathlib import Path
from typing import Optional

import torch
from checked_output import checked_output, run
from mmengine.config import DictAction
from torch import Tensor, nn

import mmlgd
from mmlgd.checkpoints import CheckpointError, check_weights, model_config, part_weights, read_checkpoint, state_dict_of
from mmlgd.checkpoints.configs import buildable
from mmlgd.models.banks import read_text_state
from mmlgd.models.zero_shot import IMAGENET_RGB
from mmlgd.student import get_student, get_zero_shot_classifier
from mmlgd.student.image_size import LARGEST, image_size
from mmlgd.utils.building import build_part
from mmlgd.utils.files import require_writable
from mmlgd.utils.validation import whole

OUTPUTS = {'backbone': 'feature', 'embedding': 'embedding', 'zero-shot': 'scores'}
TOLERANCE = 1e-4


class LastFeature(nn.Module):
    """A backbone as a function to its last feature.

    Args:
        backbone (nn.Module): Returns a tuple of features.
    """

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone = backbone

    def forward(self, pictures: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, C, h, w)."""
        return self.backbone(pictures)[-1]


def load_part(
    checkpoint: str,
    part: str,
    vocabulary: Optional[str] = None,
    templates: Optional[str] = None,
    teacher: Optional[dict] = None,
) -> tuple[nn.Module, dict[str, str], tuple[int, int]]:
    """Load what is to be exported.

    Args:
        checkpoint (str): A file or URL.
        part (str): ``'backbone'``, ``'embedding'`` or ``'zero-shot'``.
        vocabulary (str, optional): Class names of the zero-shot classifier. Defaults to None, those of training.
        templates (str, optional): Prompt templates. Defaults to None, those of training.
        teacher (dict, optional): Changes to the config of the teacher that embeds new names. Defaults to None.

    Returns:
        Tuple[nn.Module, Dict[str, str], Tuple[int, int]]: A module of one input and one output in eval mode, the
        metadata, and height and width of the student's images.

    Raises:
        CheckpointError: The checkpoint is cut off, or lacks the part.
        VocabularyError: The vocabulary is not usable.
    """
    content = read_checkpoint(checkpoint)
    config = model_config(content, checkpoint)
    size = image_size(config)
    pixels = config.model.get('data_preprocessor') or IMAGENET_RGB
    metadata = dict(
        mmlgd_version=mmlgd.__version__,
        part=part,
        mean=json.dumps(pixels.get('mean'), default=str),
        std=json.dumps(pixels.get('std'), default=str),
        color_order='RGB' if pixels.get('to_rgb', False) else 'BGR',
        preprocessing='(pixel - mean) / std, pixels 0..255',
    )
    if part == 'zero-shot':
        classifier = get_zero_shot_classifier(checkpoint, vocabulary, templates, teacher)
        metadata['class_names'] = json.dumps(classifier.class_names, ensure_ascii=False)
        return classifier, metadata, size
    backbone = get_student(checkpoint)
    if part == 'backbone':
        return LastFeature(backbone).eval(), metadata, size
    state = state_dict_of(content)
    weights = part_weights(state, 'neck', checkpoint)
    has_names = 'textual_bank.bank' in state
    joint = {'out_channels': read_text_state(state, checkpoint)['bank'].shape[1]} if has_names else {}
    settings = buildable(config.model.get('neck') or {}, 'neck', checkpoint)
    neck = build_part({**joint, **settings}, 'model.neck', 'mmlgd.ProjectionNeck')
    check_weights(neck, weights, checkpoint)
    neck.load_state_dict(weights)
    return nn.Sequential(backbone, neck).eval(), metadata, size


def export(
    module: nn.Module, out: Path, source: str, part: str, metadata: dict[str, str], size: tuple[int, int], opset: int
) -> None:
    """Write the ONNX file, and check it.

    Args:
        module (nn.Module): Of :func:`load_part`.
        out (Path): The file to write.
        source (str): The checkpoint.
        part (str): Names the output.
        metadata (Dict[str, str]): Kept in the file.
        size (Tuple[int, int]): Height and width of a picture.
        opset (int): Version of ONNX's operators.

    Raises:
        ImportError: onnx or onnxruntime is missing.
        CheckpointError: onnxruntime does not give what PyTorch gives.
    """
    onnx, onnxruntime = _import_onnx()
    with checked_output(out, source) as file:
        with warnings.catch_warnings():
            # torch would rather have its newer exporter, which needs one more package (onnxscript) and fixes names
            # and shapes differently from version to version; this one gives the same file on torch 2.6 to 2.13.
            warnings.simplefilter('ignore')
            torch.onnx.export(
                module,
                (torch.zeros(2, 3, *size),),
                str(file),
                input_names=['pictures'],
                output_names=[OUTPUTS[part]],
                dynamic_axes={'pictures': {0: 'batch'}, OUTPUTS[part]: {0: 'batch'}},
                opset_version=opset,
                dynamo=False,
            )
        model = onnx.load(str(file))
        onnx.helper.set_model_props(model, {**metadata, 'input_size': _text(size)})
        onnx.checker.check_model(model)
        onnx.save(model, str(file))
        session = onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
        for batch in (1, 3):
            _compare(module, session, torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(batch)))


def _compare(module: nn.Module, session, pictures: Tensor) -> None:
    with torch.no_grad():
        expected = module(pictures)
    got = torch.from_numpy(session.run(None, {'pictures': pictures.numpy()})[0])
    if got.shape != expected.shape:
        raise CheckpointError(f'The ONNX file gives {tuple(got.shape)}, PyTorch {tuple(expected.shape)}.')
    error = ((got - expected).abs().max() / expected.abs().max()).item()
    if not error <= TOLERANCE:  # NaN is no match either
        raise CheckpointError(
            f'At batch {len(pictures)}, onnxruntime differs from PyTorch by {error:.1g} of the largest value; at most '
            f'{TOLERANCE:.0g} is expected. Try another --opset, or look for weights that are not finite.'
        )


def _text(size: tuple[int, int]) -> str:
    """Write a size: a square one as a single number, as readers of ``input_size`` expect it."""
    return str(size[0]) if size[0] == size[1] else f'{size[0]}, {size[1]}'


def _import_onnx() -> tuple:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ImportError(f'{error}. Exporting and checking needs: pip install "mmlgd[export]".') from error
    return onnx, onnxruntime


def main(argv: Optional[list[str]] = None) -> None:
    """Export, and say what the file takes and gives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='of LGD training, publish_model.py or from_published.py')
    parser.add_argument('out', type=Path, help='file to write, for example student.onnx')
    parser.add_argument(
        '--part',
        required=True,
        choices=OUTPUTS,
        help='backbone: last feature map; embedding: unit vectors in the joint space; zero-shot: scores of class names',
    )
    parser.add_argument(
        '--vocabulary', help='class names for zero-shot: in1k, coco, ... or a file; default: of training'
    )
    parser.add_argument('--templates', help='prompt templates for zero-shot: plain, ...; default: of training')
    parser.add_argument(
        '--teacher-options',
        nargs='+',
        action=DictAction,
        help="changes to the teacher's config, as pretrained=TAG:FILE; one in a file or folder has to be named",
    )
    parser.add_argument(
        '--input-size',
        type=whole('pixels', 1, LARGEST),
        help="height and width of a picture; default: the student's own size",
    )
    parser.add_argument('--opset', type=int, default=17, help="version of ONNX's operators (default: 17)")
    args = parser.parse_args(argv)
    if args.part != 'zero-shot' and (args.vocabulary or args.templates or args.teacher_options):
        parser.error(
            f'--vocabulary, --templates and --teacher-options are for --part zero-shot; {args.part} has no class names'
        )
    _import_onnx()  # before a teacher embeds thousands of names
    require_writable(args.out.parent)
    module, metadata, size = load_part(
        args.checkpoint, args.part, args.vocabulary, args.templates, args.teacher_options
    )
    size = (args.input_size, args.input_size) if args.input_size else size
    export(module, args.out, args.checkpoint, args.part, metadata, size, args.opset)
    name, shape = OUTPUTS[args.part], f'(N, 3, {size[0]}, {size[1]})'
    print(f'{args.out}: pictures {shape} float32 -> {name}; onnxruntime agrees with PyTorch at N = 1, 3.')
    print(
        f'Pixels 0..255, {metadata["color_order"]}, minus {metadata["mean"]}, divided by {metadata["std"]}. Use it:\n'
    )
    print(f"session = onnxruntime.InferenceSession('{args.out}', providers=['CPUExecutionProvider'])")
    print(f'({name},) = session.run(None, dict(pictures=pictures))')
    print('how = session.get_modelmeta().custom_metadata_map  # mean, std, colour order, class names')


if __name__ == '__main__':
    run(main)
