"""Writes a teacher store: the teacher embeds augmented views of all images once, and training needs no teacher."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Optional, Union

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmlgd.utils.validation import whole

# Large packages are imported inside functions: the help of `mmlgd store`, which reads this module, must not wait for
# them.


@dataclass(frozen=True)
class StoreResult:
    """A teacher store that was written.

    Attributes:
        folder (Path): The store.
        images (int): Number of images.
        views (int): Augmented views per image.
        bad_images (int): Unreadable images, which were skipped.
        size (int): Size of all embeddings in bytes, those of places included.
        seconds (float): Duration.
    """

    folder: Path
    images: int
    views: int
    bad_images: int
    size: int
    seconds: float


def store_teacher(
    config: Union[str, Path, Config],
    *,
    out: Union[str, Path],
    views: int,
    seed: int = 0,
    verify: bool = False,
    places: Optional[str] = None,
    places_form: Optional[Literal['embeddings', 'names']] = None,
    cfg_options: Optional[dict] = None,
    launcher: Literal['none', 'pytorch', 'slurm', 'mpi'] = 'none',
) -> StoreResult:
    """Run the teacher once over all images, and store its embeddings.

    The teacher embeds augmented views of each image. Training then needs no teacher: ``mmlgd train CONFIG --store
    OUT``. A stopped run continues where it was. For several GPUs, start it once per GPU: ``torchrun
    --nproc_per_node GPUS -m mmlgd.cli store CONFIG ... --launcher pytorch``.

    Args:
        config (str | Path | Config): A config file of LGD training, or ``mmlgd::lgd/NAME.py`` of an installed package.
            In Python it can also be a config, which is not changed.
        out (str | Path): Folder of the store.
        views (int): Augmented views per image, from 1 to 100,000; epochs use them in turn.
        seed (int): Seed of the views. Defaults to 0.
        verify (bool): Read existing shards, and write damaged ones again.
        places (str, optional): Keep the teacher's places of each view, too, for terms on places: a grid of rows x
            columns such as 7x7, or own, the grid of the teacher. Defaults to None: no places.
        places_form (str, optional): What is kept of a place: embeddings, for any terms and names; or names, the 8 most
            likely names, in far fewer bytes, if all terms on places read class names. Defaults to None: embeddings.
        cfg_options (dict, optional): Changes to the config, ``key.subkey=value``; a list is ``key="[a,b]"``, without
            spaces.
        launcher (str): The launcher of this process: none, pytorch (torchrun), slurm or mpi. Defaults to none.

    Returns:
        StoreResult: Description of the store.

    Raises:
        MissingFileError: There is no such config.
        NumberError: ``views`` or ``seed`` is out of its range.
        ConfigError: ``places`` is no grid, or the loss of the config needs more than names of places.
        StoreError: The folder has another store.

    Examples:
        >>> import mmlgd
        >>> mmlgd.store_teacher('mine.py', out='store', views=8).images  # doctest: +SKIP
        3000
    """
    from mmlgd.checkpoints.loaders import loading_safely
    from mmlgd.datasets.variables import fill_in
    from mmlgd.store import DESCRIPTION
    from mmlgd.store.views import MOST_VIEWS
    from mmlgd.store.writer import check_store, write_store
    from mmlgd.utils.configs import merge_options, read_config
    from mmlgd.utils.seeds import seed_number

    from .looks import settle_statistics, take_statistics
    from .ranks import join_ranks

    views, seed = whole('views', 1, MOST_VIEWS)(views), seed_number(seed)
    cfg = read_config(config)
    merge_options(cfg, cfg_options)
    fill_in(cfg)
    cfg.launcher = launcher
    join_ranks(cfg)
    started = time.time()
    with loading_safely(), DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmpretrain')):
        check_store(cfg, out, seed, places, places_form)
        take_statistics(cfg, out if Path(out, DESCRIPTION).is_file() else None)
        settle_statistics(cfg)
        store = write_store(cfg, out, views, seed, verify, places, places_form)
    return StoreResult(
        folder=Path(out),
        images=store.num_images,
        views=store.num_views,
        bad_images=len(store.bad_images()),
        size=sum(file.stat().st_size for kind in ('npy', 'places') for file in Path(out, 'shards').glob(f'*.{kind}')),
        seconds=time.time() - started,
    )
