"""Views of images by name and size, and their transforms; a config gives the size only once."""

from collections.abc import Sequence
from typing import Optional

from mmlgd.errors import ConfigError
from mmlgd.utils.validation import require, whole


def moco_v2(size: int, crop: Sequence[float]) -> list[dict]:
    """One view of MoCo v2, as in the published code: crop, colour, grey, blur, flip.

    Crop and colour are torchvision's, on Pillow images: mmcv 2.1's own hue shift fails with numpy 2.
    """
    colour = dict(type='mmpretrain.torchvision/ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
    return [
        dict(type='mmpretrain.NumpyToPIL', to_rgb=True),
        dict(type='mmpretrain.torchvision/RandomResizedCrop', size=size, scale=crop),
        dict(type='RandomApply', prob=0.8, transforms=[colour]),
        dict(type='mmpretrain.torchvision/RandomGrayscale', p=0.2),
        dict(type='mmpretrain.PILToNumpy', to_bgr=True),
        dict(type='mmpretrain.GaussianBlur', magnitude_range=(0.1, 2.0), magnitude_std='inf', prob=0.5),
        dict(type='RandomFlip', prob=0.5),
    ]


def moco_v2_crop(size: int, crop: Sequence[float]) -> list[dict]:
    """Only the crop of :func:`moco_v2`; ``model.data_preprocessor.augmentation`` does the rest for whole batches."""
    return [dict(type='mmlgd.RandomResizedCrop', scale=size, crop_ratio_range=crop)]


def crop_flip(size: int, crop: Sequence[float]) -> list[dict]:
    """A crop and a flip, as in supervised training."""
    return [
        dict(type='mmpretrain.RandomResizedCrop', scale=size, crop_ratio_range=crop, backend='pillow'),
        dict(type='RandomFlip', prob=0.5),
    ]


VIEWS = {'moco-v2': moco_v2, 'moco-v2-crop': moco_v2_crop, 'crop-flip': crop_flip}


def view_pipeline(view: str, size: int = 224, crop: Sequence[float] = (0.2, 1.0)) -> list[dict]:
    """List the transforms of a view, from the file to the packed sample.

    Args:
        view (str): ``'moco-v2'``, the published views; ``'moco-v2-crop'``, only their crop, where
            ``model.data_preprocessor.augmentation`` does the rest; ``'crop-flip'``, a crop and a flip.
        size (int): Side of the view in pixels, 1 to 4096. Defaults to 224.
        crop (Sequence[float]): Smallest and largest share of the area that is cropped, 0 < smallest <= largest <= 1.
            Defaults to (0.2, 1.0), as published.

    Returns:
        List[dict]: Configs of transforms.

    Raises:
        ConfigError: There is no such view, or a setting is out of its range.

    Examples:
        >>> [step['type'] for step in view_pipeline('crop-flip', size=64)]
        ['mmlgd.LoadImageFromFile', 'mmpretrain.RandomResizedCrop', 'RandomFlip', 'mmpretrain.PackInputs']
    """
    require(
        isinstance(view, str) and view in VIEWS,
        f'A view is one of {", ".join(VIEWS)}, got {view!r}. For others, give a pipeline instead.',
    )
    size = whole('size, the side of a view in pixels,', 1, 4096)(size)
    try:
        smallest, largest = map(float, crop)
    except (TypeError, ValueError) as error:
        raise ConfigError(f'crop is the smallest and the largest share of the area, got {crop!r}.') from error
    require(0 < smallest <= largest <= 1, f'crop is two shares, 0 < smallest <= largest <= 1, got {crop!r}.')
    steps = VIEWS[view](size, (smallest, largest))
    return [dict(type='mmlgd.LoadImageFromFile'), *steps, dict(type='mmpretrain.PackInputs')]


def pipeline_of(dataset: dict) -> Optional[list[dict]]:
    """Find the transforms of a data set: its ``pipeline``, or the transforms of its ``view``.

    Args:
        dataset (dict): Config of a data set.

    Returns:
        List[dict] | None: As the config has them; None if it has neither.

    Raises:
        ConfigError: See :func:`view_pipeline`.

    Examples:
        >>> pipeline_of(dict(type='mmlgd.Images', view='moco-v2-crop', size=96))[1]['scale']
        96
    """
    if dataset.get('pipeline') or dataset.get('view') is None:
        return dataset.get('pipeline')
    return view_pipeline(**{key: dataset[key] for key in ('view', 'size', 'crop') if key in dataset})
