"""The model of a run, and the parts of it that a checkpoint has."""

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn


def plain_model(runner: Runner) -> nn.Module:
    """Get the model of a runner without the wrapper that a distributed run puts around it.

    Args:
        runner (Runner): The runner.

    Returns:
        nn.Module: The model of the config.

    Examples:
        >>> from types import SimpleNamespace
        >>> plain_model(SimpleNamespace(model=nn.Linear(2, 2)))
        Linear(in_features=2, out_features=2, bias=True)
    """
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def trained_parts(model: nn.Module) -> dict[str, nn.Module]:
    """Pick the parts of a model that have weights in its checkpoints; a guide's stand beside the state dict.

    Args:
        model (nn.Module): The model.

    Returns:
        Dict[str, nn.Module]: Its children by name.

    Examples:
        >>> list(trained_parts(nn.ModuleDict(dict(backbone=nn.Linear(2, 2), act=nn.ReLU()))))
        ['backbone']
    """
    return {
        name: part
        for name, part in model.named_children()
        if any(True for _ in part.parameters()) and part.state_dict()
    }
