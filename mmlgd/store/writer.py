"""Write a teacher store from a config, and train from one."""

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import torch
from mmengine import dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger, print_log
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.runner.amp import autocast
from torch import nn
from tqdm import tqdm

from mmlgd.checkpoints.teacher_ids import same_teacher
from mmlgd.datasets.bad_images import bad_images_of, count_text, report_text
from mmlgd.datasets.folder import folder_of, require_outside
from mmlgd.datasets.views import pipeline_of
from mmlgd.models.precision import autocast_dtype, precision_settings
from mmlgd.models.teachers.settings import updated, with_statistics_of
from mmlgd.registry import MODELS
from mmlgd.text import keep_embeddings
from mmlgd.utils.building import build_part
from mmlgd.utils.configs import kind_of
from mmlgd.utils.distributed import fail_together
from mmlgd.utils.files import sole_writer
from mmlgd.utils.seeds import seed_number
from mmlgd.utils.stopping import Stopped
from mmlgd.utils.validation import listed, require

from .asked_places import check_places, kept_places
from .description import StoreError
from .fingerprint import difference, difference_of_views, libraries, plain, probe_views, survey_images
from .layout import DESCRIPTION, TeacherStore
from .views import SeededViews

_WITH_TEACHER = ('distillation/agreement', 'distillation/cosine')  # metrics, beside those with the teacher's name


def write_store(
    cfg: Config,
    folder: Union[str, Path],
    views: int,
    seed: int = 0,
    verify: bool = False,
    places: Optional[str] = None,
    places_form: Optional[str] = None,
) -> TeacherStore:
    """Run a config's teacher over V augmented views of each of its images, and keep the embeddings.

    Existing shards stay: a run that was stopped continues with the next shard. In a distributed run, the ranks share
    the shards. The config's data set decides whether images that cannot be used are left out or stop the run.

    Args:
        cfg (Config): Of LGD pre-training with a live teacher.
        folder (str | Path): The store. Text embeddings of the config's class names go there too.
        views (int): V > 0.
        seed (int): Another seed gives other views; from 0 to 2**32 - 1. Defaults to 0.
        verify (bool): Read existing shards and write damaged ones again. Defaults to False.
        places (str, optional): Keep the places of each view, too, in a grid of rows x columns such as ``'7x7'``, or
            ``'own'``, the grid of the teacher. Defaults to None: no places.
        places_form (str, optional): ``'embeddings'``, or ``'names'``, the 8 most likely of each place, for a loss whose
            terms on places read the text bank alone. Defaults to None: embeddings.

    Returns:
        TeacherStore: The store, complete.

    Raises:
        ConfigError: The folder lies inside the folder of images, ``views`` or ``seed`` is out of its range, or
            ``places`` is no grid, or the loss needs more than names of places.
        TeacherError: The teacher has no places.
        StoreError: The folder holds a different store, or the teacher gives a zero or broken embedding.
        BadImageError: An image is bad, and the data set's policy is ``'raise'``.
        TooManyBadImagesError: More images are bad than may be left out.
        LockedError: Another run writes there.
        WriteError: The disk is full, or the folder not writable. Existing shards stay, and the next run continues.
        OtherRankError: Another rank had one of these errors.
    """
    check_store(cfg, folder, seed, places, places_form)
    with ExitStack() as held:
        with fail_together():
            if dist.is_main_process():
                held.enter_context(sole_writer(folder))
        return _write_store(cfg, folder, views, seed, verify, places, places_form)


def check_store(
    cfg: Config, folder: Union[str, Path], seed: int, places: Optional[str], places_form: Optional[str]
) -> None:
    """Refuse what :func:`write_store` cannot write, before a teacher is built.

    Args:
        cfg (Config): As for :func:`write_store`, and so are the others.
        folder (str | Path): The store.
        seed (int): Seed of the views.
        places (str, optional): The grid.
        places_form (str, optional): What is kept of a place.

    Raises:
        ConfigError: See :func:`write_store`.
        StoreError: The loss reads a map of looks, which no store keeps.
    """
    seed_number(seed)
    check_places(places, places_form)
    loss = _loss(cfg)
    _refuse_looks(loss)
    if places_form == 'names':
        loss.names_temperature()
    dataset = cfg.train_dataloader.dataset
    require(
        pipeline_of(dataset) is not None,
        f'A teacher store replays the view or the pipeline of train_dataloader.dataset, and this {kind_of(dataset)} '
        f'has neither. Give a single data set with one of them, such as mmlgd.Images: its folder may have sub-folders.',
    )
    if images := folder_of(dataset):
        require_outside(folder, images, 'The store', '--out')


def _write_store(
    cfg: Config,
    folder: Union[str, Path],
    views: int,
    seed: int,
    verify: bool,
    places: Optional[str],
    places_form: Optional[str],
) -> TeacherStore:
    model_cfg = copy.deepcopy(cfg.model)
    model_cfg.text.cache_dir = str(folder)
    model = MODELS.build(model_cfg).to(get_device()).eval()
    augmentation = getattr(model.data_preprocessor, 'augmentation', None)
    noise = augmentation.num_noise if augmentation else 0
    dataset = SeededViews(cfg.train_dataloader.dataset, views, seed, noise)
    description = dict(
        teacher=dict(
            id=model.teacher.identity,
            embed_dim=model.teacher.embed_dim,
            image_size=list(model.teacher.image_size),
            mean=model.teacher.mean.flatten().tolist(),
            std=model.teacher.std.flatten().tolist(),
            config=_teacher_config(cfg),
            precision=_precision(cfg),
        ),
        views=views,
        seed=seed,
        noise=dataset.noise,
        images=survey_images(dataset.images),
        pipeline=plain(pipeline_of(cfg.train_dataloader.dataset)),
        augmentation=plain(_augmentation(cfg)),
        places=kept_places(places, places_form, model).told() if places else None,
    )
    with fail_together():
        if dist.is_main_process():
            _lay_out(folder, description, dataset, _augmentation(cfg), model.teacher.own_temperature)
    with fail_together():  # every rank lists the missing shards before the first one is written
        store = TeacherStore(folder)
        if dist.is_main_process():  # readers use the store's id, which may be of an older version
            bank, teacher_id = model.textual_bank, store.description['teacher']['id']
            keep_embeddings(bank.bank, teacher_id, bank.class_names, bank.templates, str(folder))
        if pending := store.missing(verify):
            _require_same_views(store, dataset, _augmentation(cfg))
    try:
        _write_shards(cfg, store, pending, dataset, model)
    except Stopped as stop:
        there = store.num_shards - len(store.missing())
        stop.safe = f'Stopped. {there} of {store.num_shards} parts of the teacher store are written and stay.'
        raise
    store.require_complete()
    _report_bad(store, dataset)
    return store


def use_store(cfg: Config, folder: Union[str, Path]) -> None:
    """Make a config train from a teacher store, in place; its teacher is used only for names that the store lacks.

    The data loader replays the store's views, one of each image in each epoch, with their embeddings. The evaluation
    keeps the figures of the student and omits the teacher's, which alone would need the teacher; the log says so.

    Args:
        cfg (Config): Of LGD pre-training.
        folder (str | Path): A store that was written from it.

    Raises:
        StoreError: The store was written by another teacher or with another batched augmentation; the message names
            the difference. Or terms compare places, and it has none. Images and pipeline are compared when the data set
            is built.
        ConfigError: It keeps names of places, and a term needs embeddings; the sampler of the config chooses images
            itself; or the config is no pre-training.
    """
    require(
        'teacher' in cfg.model,
        f'A teacher store has embeddings of the views of a pre-training, and this config trains a '
        f'{cfg.model.get("plain") or cfg.model.get("type")}, whose batches are others: leave --store out.',
    )
    loss = _loss(cfg)
    _refuse_looks(loss)  # first: a store with a map of looks is what nobody can write
    check_replay(cfg)
    folder = os.path.abspath(folder)  # absolute: a checkpoint keeps it, and is read from other folders
    store = TeacherStore(folder)
    told = store.origin()
    cfg.model.teacher = with_statistics_of(cfg.model.teacher, told['teacher']['config'])
    stored, here = (_placed(updated(teacher)) for teacher in (told['teacher']['config'], _teacher_config(cfg)))
    found = difference(
        dict(teacher=_moved(stored, here), augmentation=told['augmentation']),
        dict(teacher=here, augmentation=plain(_augmentation(cfg))),
        'model',
    )
    compared = getattr(loss, 'needs_places', ())  # the model refuses what is no list of terms
    if found:
        dense = ' It has places, and this run compares none: was it written with --dense?'
        raise StoreError(
            f'The teacher store in {folder!r} does not fit this config: {found}.'
            f'{dense if store.places and not compared else ""} Use the value in the store, or write another store with '
            f'mmlgd store.'
        )
    if compared and not store.places:
        raise StoreError(
            f'{", ".join(compared)} compare places, and the teacher store in {folder!r} has none. Write one with '
            f'places into another folder: mmlgd store CONFIG --views {told["views"]} --places own --out DIR.'
        )
    if compared and store.places.names:
        loss.names_temperature()
    loader = cfg.train_dataloader
    loader.dataset = dict(
        type='mmlgd.StoredTeacherDataset',
        store=folder,
        dataset=loader.dataset,
        augmentation=_augmentation(cfg),
        **(dict(places=True) if compared else {}),
    )
    loader.sampler = {**loader.sampler, 'type': 'mmlgd.ViewSampler'}  # in the order of the config's own
    cfg.model.teacher = dict(type='mmlgd.CachedTeacher', store=folder, teacher=cfg.model.teacher)
    cfg.model.predict_teacher = False
    for phase in ('val', 'test'):
        metrics = listed(cfg.get(f'{phase}_evaluator') or [])
        cfg[f'{phase}_evaluator'] = [_without_teacher(m) for m in metrics if 'teacher' not in m.get('task_metrics', {})]
        if not cfg[f'{phase}_evaluator']:  # mmengine wants all three or none
            cfg[f'{phase}_evaluator'] = cfg[f'{phase}_dataloader'] = cfg[f'{phase}_cfg'] = None
    _tell_what_is_missing(cfg)


def check_replay(cfg: Config) -> None:
    """Refuse a training that no teacher store can serve, before one is written.

    Args:
        cfg (Config): Of LGD pre-training.

    Raises:
        ConfigError: The sampler chooses images itself, or the best checkpoint is chosen by the teacher, which does not
            see the evaluation images.
    """
    kind = kind_of(cfg.train_dataloader.get('sampler') or {})
    require(
        kind in ('DefaultSampler', 'InfiniteSampler'),
        f'With a teacher store, each epoch has one view of every image, but train_dataloader.sampler is a {kind}, '
        f'which chooses images itself. Set it to a DefaultSampler, or leave --store out.',
    )
    best = ((cfg.get('default_hooks') or {}).get('checkpoint') or {}).get('save_best') or []
    require(
        not any('teacher' in metric or metric in _WITH_TEACHER for metric in listed(best)),
        f'default_hooks.checkpoint.save_best is {best!r}, but with a teacher store no teacher sees the evaluation '
        f'images. Leave save_best out, choose another metric, or train without the store.',
    )


def _without_teacher(metric: dict) -> dict:
    return dict(metric, teacher=False) if kind_of(metric) == 'DistillationMetric' else metric


def _tell_what_is_missing(cfg: Config) -> None:
    """Say that the evaluation lacks the teacher."""
    if cfg.get('val_evaluator'):
        print_log(
            'With a teacher store, the evaluation has the figures of the student alone: no teacher sees its images. '
            'The log has the agreement with the teacher on the images of training; `mmlgd evaluate --teacher` asks the '
            'teacher afterwards.',
            'current',
        )


def _refuse_looks(loss: nn.Module) -> None:
    if looks := getattr(loss, 'needs_looks', ()):
        raise StoreError(
            f'{", ".join(looks)} compare places with a map of looks, and a teacher store keeps none. Train with the '
            f'live teacher, without --store, or take the term and looks="similarity" out.'
        )


def _loss(cfg: Config) -> nn.Module:
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmpretrain')):
        return build_part(cfg.model.get('loss'), 'model.loss', 'mmlgd.LGDLoss')


def _augmentation(cfg: Config) -> Optional[dict]:
    return (cfg.model.get('data_preprocessor') or {}).get('augmentation')


def _teacher_config(cfg: Config) -> dict:
    """Return the teacher's config without the settings that change only its speed."""
    return _changed(plain(cfg.model.teacher), lambda key, value: value, ('compile', 'cache_dir'))


def _placed(teacher: dict) -> dict:
    """Resolve the places in a teacher's config on this machine, so that two ways to write a folder compare as equal."""

    def place(key: str, value: Any) -> Any:
        scheme, colon, where = value.rpartition(':') if isinstance(value, str) else ('', '', '')
        is_place = where and key != 'statistics' and os.path.exists(where)
        return f'{scheme}{colon}{Path(where).resolve()}' if is_place else value

    return _changed(teacher, place)


def _moved(stored: Any, here: Any) -> Any:
    """Replace places that are gone from this machine by those of the config: a teacher may have moved.

    Only the identity tells whether it is the same; :class:`CachedTeacher` compares it when it builds the teacher.
    """
    if isinstance(stored, dict) and isinstance(here, dict):
        return {key: _moved(value, here.get(key)) for key, value in stored.items()}
    if not (isinstance(stored, str) and isinstance(here, str)):
        return stored
    (kind, _, was), (same, _, now) = (place.rpartition(':') for place in (stored, here))
    is_gone = kind == same and ('/' in was or kind == 'local-dir') and not os.path.exists(was)
    if not (is_gone and os.path.exists(now)):
        return stored
    print_log(
        f'The teacher of the store was at {was}, which is not on this machine: {now} is taken for the same, and '
        f'compared with it when it is used.',
        'current',
    )
    return here


def _changed(settings: dict, change: Callable[[str, Any], Any], without: tuple[str, ...] = ()) -> dict:
    """Change the settings of a teacher, and of both halves of a pair."""
    return {
        key: _changed(value, change, without)
        if key in ('words', 'looks') and isinstance(value, dict)
        else change(key, value)
        for key, value in settings.items()
        if key not in without
    }


def _precision(cfg: Config) -> Optional[str]:
    """Return the precision of training, which the teacher shares: a dtype of autocast, or None for float32."""
    return autocast_dtype(precision_settings(cfg.optim_wrapper))


def _lay_out(
    folder: Union[str, Path],
    description: dict,
    dataset: SeededViews,
    augmentation: Optional[dict],
    temperature: Optional[float],
) -> None:
    """Start a store, or compare an existing one with the description of this run."""
    if not Path(folder, DESCRIPTION).is_file():
        details = dict(libraries=libraries(), probes=probe_views(dataset, augmentation), own_temperature=temperature)
        TeacherStore.create(folder, {**description, **details})
        return
    there = TeacherStore(folder).description
    told, here = there.get('teacher'), description['teacher']
    if isinstance(told, dict) and same_teacher(str(told.get('id')), here['id']):  # by another path or version
        description = dict(description, teacher=dict(here, id=told['id'], config=told.get('config')))
    if found := difference({key: there.get(key) for key in description}, plain(description), 'store'):
        raise StoreError(
            f'The folder {str(folder)!r} holds a different teacher store: {found}. Choose another folder, or use the '
            f'settings that this store was started with.'
        )


def _require_same_views(store: TeacherStore, dataset: SeededViews, augmentation: Optional[dict]) -> None:
    """Refuse to continue with views that differ from the views in existing shards."""
    if found := difference_of_views(store.origin(), dataset, augmentation):
        raise StoreError(
            f'The teacher store in {str(store.folder)!r} cannot be finished here: {found}. Use the libraries that '
            f'it was started with, or write another store with mmlgd store into an empty folder.'
        )


def _report_bad(store: TeacherStore, dataset: SeededViews) -> None:
    """Report the images that the store has left out, including those of an earlier run that was stopped."""
    bad = {dataset.images.get_data_info(k)['img_path']: reason for k, reason in store.bad_images().items()}
    dataset.bad_images.require_few(bad, dataset.num_images)
    if dist.is_main_process() and bad:
        lines = [report_text(path, reason) for path, reason in bad.items()]
        MMLogger.get_current_instance().warning('\n'.join([*lines, count_text(len(bad), dataset.num_images)]))


def _write_shards(cfg: Config, store: TeacherStore, pending: list[int], dataset: SeededViews, model) -> None:
    """Share the shards among the ranks. All ranks proceed together, so a failure of one stops the others soon."""
    rank, world_size = dist.get_dist_info()
    shards = _full_shards(cfg, store, pending[rank::world_size], dataset, model)
    for _ in pending[::world_size]:
        with fail_together():
            for shard, bad, embeddings, files, *places in islice(shards, 1):
                store.write(shard, embeddings, bad, dataset.name_of, files, *places)


def _full_shards(cfg: Config, store: TeacherStore, shards: list[int], dataset: SeededViews, model) -> Iterator[tuple]:
    """Embed the views of some shards, in order.

    Yield each shard when it is full, with the faults of its bad images, by row, its embeddings, the digests of its
    files and, in a store with places, these.
    """
    rows = [row for shard in shards for row in store.rows_of(shard)]
    if not rows:
        return
    # mmengine builds the loader as in training: workers, their seeds, the collate function. It gets the rows as the
    # sampler, because mmengine's samplers would share them among the ranks a second time.
    own = dict(dataset=dataset, sampler=rows, batch_sampler=None, drop_last=False, persistent_workers=False)
    loader = dict(cfg.train_dataloader, **own)
    batches = Runner.build_dataloader(loader)
    precision = _precision(cfg)
    done: list[tuple[np.ndarray, ...]] = []  # embeddings, digests of files and places, by batch
    bad: dict[int, str] = {}  # what was wrong with images that have no embedding, by row
    found: dict[str, str] = {}  # the same, by path
    coming = iter(rows)
    with tqdm(
        total=len(rows), unit='view', desc='teacher store', mininterval=1, disable=not dist.is_main_process()
    ) as progress:
        for batch in batches:
            for met, row in zip(bad_images_of(batch), coming):
                if met:
                    bad[row] = next(iter(met.values()))
                    found.update(met)
            dataset.bad_images.require_few(found, dataset.num_images)
            with torch.no_grad(), autocast(dtype=getattr(torch, precision)) if precision else nullcontext():
                inputs = model.data_preprocessor(batch, training=True)['inputs']
                inputs = inputs.contiguous(memory_format=model.memory_format)
                t = model.teacher.encode(inputs, places=store.places is not None)
            files = np.array([sample.file_digest for sample in batch['data_samples']])
            places = [store.places.rows_of(t.places, model.textual_bank.bank)] if store.places else []
            done.append((t.image.cpu().numpy(), files, *places))
            progress.update(len(inputs))
            while shards and sum(len(parts[0]) for parts in done) >= (size := len(store.rows_of(shards[0]))):
                full = [np.concatenate(parts) for parts in zip(*done)]
                in_it = {k: bad[k] for k in store.rows_of(shards[0]) if k in bad}
                yield shards[0], in_it, *(part[:size] for part in full)
                shards, done = shards[1:], [tuple(part[size:] for part in full)]
