"""Names of MobileNetV2's layers in each library; mmpretrain and mmseg have the same names.

A block is expand - depthwise - project; the only block of the first stage has no expand.
"""

import re
from collections.abc import Iterable
from itertools import accumulate

DEPTHS = (1, 2, 3, 4, 3, 3, 1)
FIRST = (1, *(1 + blocks for blocks in accumulate(DEPTHS)))  # torchvision numbers all blocks in one sequence, from 1
STEM_AND_HEAD = dict(
    torchvision={
        'conv1.conv': 'features.0.0',
        'conv1.bn': 'features.0.1',
        'conv2.conv': f'features.{FIRST[-1]}.0',
        'conv2.bn': f'features.{FIRST[-1]}.1',
    },
    timm={'conv1.conv': 'conv_stem', 'conv1.bn': 'bn1', 'conv2.conv': 'conv_head', 'conv2.bn': 'bn2'},
)
MMDET = ('expand_conv', 'depthwise_conv', 'linear_conv')
TIMM = ('conv_pw', 'conv_dw', 'conv_pwl')
LAYER = re.compile(r'layer(\d)\.(\d)\.conv\.(\d)\.(conv|bn)\.(\w+)')


def mobilenet_names(keys: Iterable[str], library: str) -> dict[str, str]:
    """Map mmpretrain's names to another library's.

    Args:
        keys (Iterable[str]): Keys of mmpretrain's MobileNetV2.
        library (str): ``'mmdet'``, ``'torchvision'`` or ``'timm'``.

    Returns:
        Dict[str, str]: The library's name for each key; other keys do not change.
    """
    return {key: _name(key, library) for key in keys}


def _name(key: str, library: str) -> str:
    layer = LAYER.fullmatch(key)
    if not layer:
        module, _, tensor = key.rpartition('.')
        return f'{STEM_AND_HEAD.get(library, {}).get(module, module)}.{tensor}'
    stage, block, position = map(int, layer.group(1, 2, 3))
    kind, tensor = layer.group(4, 5)
    role = position + (stage == 1)  # 0 expand, 1 depthwise, 2 project
    if library == 'mmdet':
        return f'layer{stage}.{block}.{MMDET[role]}.{kind}.{tensor}'
    if library == 'timm':
        # In a block without expand, timm calls the projection conv_pw.
        conv = TIMM[role] if stage > 1 or role == 1 else 'conv_pw'
        return f'blocks.{stage - 1}.{block}.{conv if kind == "conv" else f"bn{position + 1}"}.{tensor}'
    index = f'{position}.{int(kind == "bn")}' if role < 2 else position + (kind == 'bn')
    return f'features.{FIRST[stage - 1] + block}.conv.{index}.{tensor}'
