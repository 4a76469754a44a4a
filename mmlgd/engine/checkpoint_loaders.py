"""mmengine's ways to load a checkpoint, replaced: nothing is executed, and a download is compared with its hash.

mmengine's own loaders differ: the upstream one executes what it downloads, and the fork's one tries again without
``weights_only`` where a file holds more than weights.
"""

from pathlib import Path
from typing import Any

from mmengine.runner import (
    CheckpointLoader,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)

from mmlgd.checkpoint_files import CheckpointError, read_checkpoint

# Named after mmengine's: it logs what comes after `load_from_`.


def load_from_local(filename: str, map_location: Any = 'cpu') -> dict:
    """Read a file; what it tells of other checkpoints is looked for beside it alone.

    mmengine's ``CheckpointHook`` deletes the checkpoints that a resumed one names as those to be replaced: of a file
    from somebody else, these could be any of this machine.
    """
    checkpoint = read_checkpoint(filename, map_location or 'cpu')
    hub = checkpoint.get('message_hub')
    told = hub.get('runtime_info') if isinstance(hub, dict) else None
    if isinstance(told, dict):
        for key in [key for key in told if str(key).startswith(('best_ckpt', 'last_ckpt'))]:
            path = str(told.pop(key)).replace('\\', '/')
            file = Path(filename).absolute().parent / path.rpartition('/')[2]
            if not file.is_dir():  # mmengine's hook would remove it, with all that is in it
                told[key] = str(file)
        steps = told.get('keep_ckpt_ids', [])
        told['keep_ckpt_ids'] = [step for step in steps if isinstance(step, int)] if isinstance(steps, list) else []
    return checkpoint


def load_from_http(filename: str, map_location: Any = 'cpu') -> dict:
    """Download a file, unless it is in torch's hub folder, and compare it with its hash."""
    return read_checkpoint(filename, map_location or 'cpu')


def load_from_torchvision(filename: str, map_location: Any = 'cpu') -> dict:
    """Read what mmengine's table says of ``torchvision://NAME``; an unknown name is a KeyError, as in mmengine."""
    return read_checkpoint(get_torchvision_models()[filename.partition('://')[2]], map_location or 'cpu')


def load_from_openmmlab(filename: str, map_location: Any = 'cpu') -> dict:
    """Read what mmengine's table says of ``open-mmlab://NAME``."""
    name = filename.partition('://')[2]
    return read_checkpoint(get_external_models()[get_deprecated_model_names().get(name, name)], map_location or 'cpu')


def load_from_mmcls(filename: str, map_location: Any = 'cpu') -> dict:
    """Read what mmengine's table says of ``mmcls://NAME``: the backbone, by names without the prefix."""
    checkpoint = read_checkpoint(get_mmcls_models()[filename.partition('://')[2]], map_location or 'cpu')
    state, prefix = checkpoint.get('state_dict', checkpoint), 'backbone.'
    return dict(state_dict={key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)})


def load_from_elsewhere(filename: str, map_location: Any = 'cpu') -> dict:
    """Refuse the storages of which a file would be unpickled."""
    raise CheckpointError(f'Weights are not read from {filename!r}: copy the file here and give its path.')


def register_checkpoint_loaders() -> None:
    """Put these loaders in the places of mmengine's; idempotent."""
    for prefixes, loader in (
        ('', load_from_local),
        (('http://', 'https://'), load_from_http),
        (('modelzoo://', 'torchvision://'), load_from_torchvision),
        (('open-mmlab://', 'openmmlab://'), load_from_openmmlab),
        ('mmcls://', load_from_mmcls),
        (('pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://'), load_from_elsewhere),
    ):
        CheckpointLoader.register_scheme(prefixes, loader, force=True)
