"""Studies of recipes: variants of pre-training over seeds, each evaluated on frozen features."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

from mmengine.logging import print_log

from mmlgd.errors import ConfigError, MMLGDError, brief
from mmlgd.run.child import RunError
from mmlgd.utils.options import read_options, write_options
from mmlgd.utils.validation import listed, require

# Large packages are imported inside functions: the help of `mmlgd study`, which reads this module, must not wait for
# them.

C = '0.01'  # one inverse penalty for all linear probes: rows are compared with each other and with older studies
_RECORD = 'train.json'  # in the folder of a run


class Variant(NamedTuple):
    """One row of the table.

    Attributes:
        config (str): A config file.
        options (List[str]): As for ``--cfg-options``; ``key=`` removes an option that applies to all variants.
    """

    config: str
    options: list[str]


def study(
    *,
    variants: Sequence[str],
    data: Union[str, Path],
    store: Optional[Union[str, Path]] = None,
    seeds: Sequence[int] = (0, 1, 2),
    labels: Sequence[str] = ('1', '10', '100%'),
    draws: Sequence[int] = (0, 1, 2),
    names: Union[str, Path, None] = None,
    synonyms: Union[str, Path, None] = None,
    size: Optional[int] = None,
    workers: int = 2,
    cfg_options: Optional[dict[str, Any]] = None,
    work_dir: Union[str, Path] = 'work_dirs/study',
) -> dict:
    """Train variants of a recipe over seeds, and evaluate each. Which makes the better student?

    Each run is ``mmlgd train CONFIG --store STORE``; then ``mmlgd evaluate`` measures its last checkpoint:
    zero-shot, nearest neighbours, linear probes. Finished work is not repeated, and a stopped run continues from
    its last checkpoint; you can add variants and seeds later. A variant whose config, options, labels, weights or
    store have changed is refused. Other labels of the data are evaluated anew. A variant's ``key=``, without a
    value, removes this key of the common options, for a config that does not have it. A supervised classifier (a
    config without a teacher) is trained without the store; instead of zero-shot it has the accuracy of its own
    head, with a star. The results are study.md, study.json and study.png.

    Args:
        variants (Sequence[str]): NAME=CONFIG.py, or NAME=CONFIG.py:key=value,key=value with changes to the config.
        data (str | Path): Folder with train and val, as for ``mmlgd evaluate``.
        store (str | Path, optional): Teacher store that all variants with a teacher read. Defaults to None.
        seeds (Sequence[int]): Seeds of training. Defaults to 0 1 2.
        labels (Sequence[str]): Labelled images of the linear probes: a number per class, or a share such as 10%.
            Defaults to 1 10 100%.
        draws (Sequence[int]): Seeds of the draws of these labels. Defaults to 0 1 2.
        names (str | Path, optional): Class names of the zero-shot evaluation: a text file or a known set. Defaults to
            None: the names of training.
        synonyms (str | Path, optional): Other names of the same classes, as for ``mmlgd evaluate``, likewise. Defaults
            to None.
        size (int, optional): Image side in pixels for evaluation. Defaults to None: each student's own.
        workers (int): Processes that read images in evaluation. Defaults to 2.
        cfg_options (dict, optional): Changes to all configs, ``key.subkey=value``. Defaults to None.
        work_dir (str | Path): Folder for the runs. Defaults to work_dirs/study.

    Returns:
        dict: The content of study.json: results of all runs, and ``summary`` with mean and spread.

    Raises:
        ConfigError: A variant, seed or option is invalid, or an existing run is a different one.
        StoreError: The store does not fit a variant; then no run is started.
        LockedError: Another command trains in the work dir.
        WriteError: It cannot be written to.
        RunError: A run failed; the message says where its output is.

    Examples:
        >>> import mmlgd
        >>> mmlgd.study(data='data', variants=['lgd=lgd.py', 'text=lgd.py:model.loss.alpha=0.3'])  # doctest: +SKIP
    """
    from mmlgd.datasets.variables import fill_in
    from mmlgd.evaluation.options import RANGES, require_once, share
    from mmlgd.evaluation.splits import check_classes, check_synonyms, drawn, load_split, order_of
    from mmlgd.run.trial import check_training
    from mmlgd.store.writer import use_store
    from mmlgd.text import load_vocabulary
    from mmlgd.utils.configs import merge_options, read_config
    from mmlgd.utils.files import sole_writer
    from mmlgd.utils.seeds import seed_number

    from .report import draw, summarise, table
    from .runs import refuse_seed, write_text

    chosen = read_variants(variants)
    seeds, draws = [seed_number(seed) for seed in listed(seeds)], [seed_number(draw) for draw in listed(draws)]
    # Check now, not after hours of training.
    labels, workers = [share(one) for one in listed(labels)], RANGES['workers'](workers)
    size = None if size is None else RANGES['size'](size)
    require_once(labels=labels, seeds=seeds, draws=draws)
    names, synonyms = _source('--names', names), _source('--synonyms', synonyms)
    if names and synonyms:
        check_synonyms([load_vocabulary(names)], load_vocabulary(synonyms))
    train, val = (load_split(Path(data), split, []) for split in ('train', 'val'))
    check_classes(train, val)
    for one in labels:
        drawn(train, one, draws[0])
    work_dir, store = Path(work_dir), store and str(store)
    how = ['--data', str(data), '--labels', *labels, '--seeds', *map(str, draws)]
    how += ['--workers', str(workers), '--c', C]
    how += ['--names', names] if names else []
    how += ['--synonyms', synonyms] if synonyms else []
    how += ['--size', str(size)] if size else []
    changes = {name: options_of(variant, cfg_options or {}) for name, variant in chosen.items()}
    refuse_seed(*map(read_options, changes.values()))
    configs = {name: read_config(variant.config) for name, variant in chosen.items()}
    if names and any('teacher' in cfg.model for cfg in configs.values()):
        order_of(load_vocabulary(names), True, train, val)
    trainings = {}
    for name, variant in chosen.items():
        cfg = configs[name]
        # Without this variable a config has its own folders, and the option would be refused.
        own = {'data_root': str(data)} if 'data_root' in cfg else {}
        its_store = store if 'teacher' in cfg.model else None
        for seed in seeds:
            options = ['--cfg-options', *write_options({**own, 'randomness.seed': seed}), *changes[name]]
            trainings[seed, name] = (variant.config, its_store, options, work_dir / f'{name}_seed{seed}')
        merge_options(cfg, {**own, **read_options(changes[name])})  # a misspelt one is refused now
        fill_in(cfg)
        if synonyms and not names and (known := _names_of(cfg.model)):
            check_synonyms([load_vocabulary(known)], load_vocabulary(synonyms))
        if its_store:
            use_store(cfg, its_store)  # one that does not fit, too
        if not all(_told(trainings[seed, name][-1]).get('finished') for seed in seeds):
            try:
                check_training(cfg)
            except MMLGDError as error:
                raise ConfigError(f'The variant {name!r} cannot be trained. {error}') from error
    found: dict[str, dict[str, dict]] = {name: {} for name in chosen}
    digests = _digests(Path(data))
    with sole_writer(work_dir):  # a second command would start runs in the same folders
        asked = {}
        for name in chosen:
            files = _files(*trainings[seeds[0], name][:3])  # no seed names another one
            # Another run in a folder is refused now.
            asked.update({(seed, name): _asked(*trainings[seed, name], files) for seed in seeds})
        for seed in seeds:
            for name in chosen:
                checkpoint = _train(*trainings[seed, name], asked[seed, name])
                figures = _evaluate(checkpoint, how, names, synonyms, digests)
                found[name][str(seed)] = figures
                print_log(f'seed {seed}  {table(summarise({name: {str(seed): figures}})).splitlines()[2]}', 'current')
            summary = summarise(found)
            report = dict(
                data=str(data),
                store=store,
                labels=labels,
                draws=draws,
                names=names,
                synonyms=synonyms,
                variants={name: variant._asdict() for name, variant in chosen.items()},
                runs=found,
                summary=summary,
            )
            write_text(work_dir / 'study.md', table(summary))
            write_text(work_dir / 'study.json', json.dumps(report, indent=1))
            draw(work_dir / 'study.png', summary)
    return report


def read_variants(variants: Sequence[str]) -> dict[str, Variant]:
    """Read the variants.

    Args:
        variants (Sequence[str]): See :func:`study`.

    Returns:
        Dict[str, Variant]: Variants by name.

    Raises:
        ConfigError: A variant is not NAME=CONFIG.py, or a name is duplicate.

    Examples:
        >>> read_variants(['lgd=a.py:model.loss.alpha=0.3,model.names=[a,b]'])['lgd'].options
        ['model.loss.alpha=0.3', 'model.names=[a,b]']
    """
    from .runs import named, split_options

    found = {}
    for name, text in named(variants, 'variants', r'.+?\.py(?::.+)?', 'lgd=a.py:model.loss.alpha=0.3').items():
        config, _, options = re.fullmatch(r'(.+?\.py)(:(.+))?', text).groups()
        found[name] = Variant(config, split_options(options or ''))
    return found


def options_of(variant: Variant, common: Mapping[str, Any]) -> list[str]:
    """List the changes to a variant's config: the common ones without those it removes, and its own.

    Args:
        variant (Variant): The variant.
        common (Mapping[str, Any]): Options of all variants.

    Returns:
        List[str]: KEY=VALUE options.

    Raises:
        ConfigError: A value cannot be written as an option.
    """
    back = {option for option in variant.options if option.endswith('=')}
    kept = write_options({key: value for key, value in common.items() if f'{key}=' not in back})
    return [*kept, *(option for option in variant.options if option not in back)]


def _files(config: str, store: Optional[str], options: list[str]) -> dict[str, dict[str, str]]:
    """Compute digests of what a training reads: ``contents`` of config and store, and ``labels`` of all other files."""
    from mmlgd.datasets.variables import fill_in
    from mmlgd.run.digests import digests_of_labels, digests_of_model
    from mmlgd.utils.configs import merge_options, read_config

    from .runs import contents

    cfg = read_config(config)
    merge_options(cfg, read_options(options[1:]))
    fill_in(cfg)  # a variable may name a file
    labels = {} if store else digests_of_labels(cfg)  # a store has a list of its images
    return dict(contents=contents(config, store), labels={**labels, **digests_of_model(cfg)})


def _asked(config: str, store: Optional[str], options: list[str], work_dir: Path, files: dict) -> dict:
    """Say what is to be trained; refuse a folder with another run."""
    from mmlgd.checkpoints.last import checkpoints_of

    from .runs import refuse_other

    arguments = [config, '--work-dir', str(work_dir), *(['--store', store] if store else []), *options]
    asked, told = dict(files, arguments=arguments), _told(work_dir)
    if checkpoints_of(work_dir) or told.get('finished'):  # there is something to keep
        refuse_other(work_dir, told or dict(arguments=['(not recorded)']), asked)
    return asked


def _told(work_dir: Path) -> dict:
    """Read what the folder of a run is for; empty if it is for none."""
    from .runs import read_record

    return read_record(work_dir / _RECORD, f'remove {work_dir}')


def _train(config: str, store: Optional[str], options: list[str], work_dir: Path, asked: dict) -> Path:
    """Train one variant with one seed, or resume it, and return its last checkpoint."""
    from mmlgd.checkpoints.last import checkpoints_of

    from .runs import run, write_text

    begun, record = checkpoints_of(work_dir), work_dir / _RECORD
    if not _told(work_dir).get('finished'):
        # A file may have changed while others were trained.
        asked = _asked(config, store, options, work_dir, _files(config, store, options))
        work_dir.mkdir(parents=True, exist_ok=True)
        write_text(record, json.dumps(dict(asked, finished=False), indent=1))
        resume = ['--resume'] if begun else []
        run('train', [config, *resume, *asked['arguments'][1:]], work_dir / 'output.txt')
    if not (found := checkpoints_of(work_dir)):
        raise RunError(
            f'The run in {work_dir} has ended, and there is no checkpoint of it. Does the config have a '
            f'CheckpointHook? If you have removed it, put it back; or remove the folder, to train anew.'
        )
    write_text(record, json.dumps(dict(asked, finished=True), indent=1))
    return found[0]


def _source(option: str, names: Union[str, Path, None]) -> Optional[str]:
    """Check a text file or a known set of names, before hours of training."""
    from mmlgd.text import load_vocabulary

    if names is None:
        return None
    is_source = isinstance(names, (str, Path))
    require(is_source, f'{option} takes a text file or a known set here, got {brief(names)}: write them into a file.')
    load_vocabulary(names)
    return str(names)


def _names_of(model: dict) -> Any:
    """Find the names of training, with which a student is evaluated if none are given; None for a classifier."""
    text = model.get('text')
    return text.get('vocabulary') if 'teacher' in model and isinstance(text, dict) else None


def _digests(data: Path) -> dict[str, str]:
    """Compute digests of the labels that ``mmlgd evaluate`` reads: the lists, or the paths in class folders."""
    from mmengine.config import Config

    from mmlgd.run.digests import digests_of_labels

    lists = {split: f'{split}.txt' if (data / f'{split}.txt').is_file() else '' for split in ('train', 'val')}
    sets = {split: dict(data_root=str(data), data_prefix=split, ann_file=file) for split, file in lists.items()}
    return digests_of_labels(Config({f'{split}_dataloader': dict(dataset=one) for split, one in sets.items()}))


def _evaluate(
    checkpoint: Path, how: list[str], names: Optional[str], synonyms: Optional[str], labels: dict[str, str]
) -> dict:
    """Evaluate a checkpoint, unless the same evaluation exists, and return the results."""
    from .runs import contents, run, write_text

    out = checkpoint.parent / 'evaluation'
    arguments = [str(checkpoint), *how, '--out', str(out)]
    record = out / 'arguments.json'
    told = dict(arguments=arguments, contents=contents(None, str(checkpoint), names, synonyms), labels=labels)
    known, found = _read(record), _read(out / 'table.json', 'results', 'student')
    # An earlier version did not record the labels.
    if found is None or {'labels': labels, **(known or {})} != told:
        record.unlink(missing_ok=True)  # the record of the old table
        run('evaluate', arguments, out / 'output.txt')
    write_text(record, json.dumps(told))
    return _read(out / 'table.json', 'results', 'student')


def _read(file: Path, *keys: str) -> Optional[dict]:
    """Read a part of a JSON; None if the file is not there or damaged, so that the evaluation is made again."""
    try:
        found = json.loads(file.read_bytes())
        for key in keys:
            found = found[key]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return found if isinstance(found, dict) else None
