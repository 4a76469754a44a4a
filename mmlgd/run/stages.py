"""The stages of a student for a detector or a segmentor: their indices, strides and channels."""

from pathlib import Path
from typing import Any, Union

from mmlgd.errors import ConfigError
from mmlgd.models.necks import features_of_zeros
from mmlgd.student.saved import SavedStudent, backbone_of

STRIDES = (4, 8, 16, 32)
_MOST = 12  # stages of a backbone
_SIDE = 128  # pixels, of the image that shows the strides


def student_stages(checkpoint: Union[str, Path]) -> tuple[dict[str, Any], list[int]]:
    """Find the settings of a student's backbone with outputs at strides 4, 8, 16 and 32.

    Args:
        checkpoint (str | Path): Of pre-training or ``mmlgd publish``, a file or URL.

    Returns:
        Tuple[dict, List[int]]: The backbone for a detector's config, without weights, and the channels of its outputs.

    Raises:
        MissingFileError: There is no such file.
        CheckpointError: It has no student, or is damaged.
        ConfigError: The student has no such outputs.

    Examples:
        >>> backbone, channels = student_stages('epoch_200.pth')  # doctest: +SKIP
        >>> backbone['out_indices'], channels  # doctest: +SKIP
        ((0, 1, 2, 3), [64, 128, 256, 512])
    """
    saved = SavedStudent.read(checkpoint)
    settings = backbone_of(saved.config, checkpoint)
    features: list = []
    for count in range(_MOST, 1, -1):
        try:
            backbone = saved.build('backbone', out_indices=tuple(range(count)))
            features = list(features_of_zeros(backbone, _SIDE))
            break
        except Exception:  # a backbone refuses stages that it does not have by an error of any class
            continue
    # Of several outputs at one stride, the last: no layer of the student is left out.
    found = {_SIDE // x.shape[-1]: (k, x.shape[1]) for k, x in enumerate(features) if x.ndim == 4 and x.shape[-1]}
    if lacking := [stride for stride in STRIDES if stride not in found]:
        raise ConfigError(
            f'{checkpoint} has a student of type {settings.get("type")} with outputs at strides {sorted(found)}, but a '
            f'detector or segmentor needs {", ".join(map(str, STRIDES))}; {", ".join(map(str, lacking))} are missing. '
            f'Give a ResNet, MobileNetV2, RegNet or another student with stages, or write a config for this one: '
            f'docs/detectors_and_segmentors.md.'
        )
    stages = tuple(found[stride][0] for stride in STRIDES)
    kind = settings['type']
    if '.' not in kind:
        kind = f'{saved.config.get("default_scope", "mmpretrain")}.{kind}'
    kept = {key: value for key, value in settings.items() if key not in ('init_cfg', 'pretrained', '_scope_')}
    return dict(kept, type=kind, out_indices=stages), [found[stride][1] for stride in STRIDES]
