r"""Which recipe makes the better student? Train variants over seeds, evaluate each, and print mean and spread.

    python tools/benchmarks/study.py --data /my/data --store work_dirs/store --seeds 0 1 2 --variants \
        lgd=configs/small/lgd_resnet18-half_tiny-imagenet.py \
        text=configs/small/lgd_resnet18-half_tiny-imagenet.py:model.loss.alpha=0.3,model.loss.self_logit=False \
        seed=configs/small/baselines/seed_resnet18-half_tiny-imagenet.py
    python tools/benchmarks/study.py @study.txt            # the same arguments out of a file; # starts a comment

Each run is `tools/train.py CONFIG --store STORE`; its last checkpoint goes through `tools/evaluate.py`: zero-shot,
nearest neighbours, linear probes. What has been done is not repeated, and a run that was stopped goes on from its last
checkpoint; variants and seeds can be added later. A variant whose config, options or store have changed since is
refused. A variant's `key=`, without a value, takes that key of --cfg-options
back, where its config has no such thing. A supervised classifier (a config without a teacher) is trained without the
store; in place of zero-shot it has the accuracy of its own head, with a star.
"""

import argparse
import json
import re
from pathlib import Path
from typing import NamedTuple, Optional

from mmengine.config import Config
from runs import TOOLS, contents, refuse_other, run
from study_report import draw, summarise, table

from mmlgd.cli.tool import run_tool
from mmlgd.utils.seeds import seed_number

C = '0.01'  # one inverse penalty for all linear probes: rows of a study are compared, also with those of older ones


class Variant(NamedTuple):
    """What one row of the table is.

    Attributes:
        config (str): A config file.
        options (List[str]): As of ``--cfg-options``; ``key=`` takes one of those for all variants back.
    """

    config: str
    options: list[str]


def parse_args(argv: Optional[list[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, fromfile_prefix_chars='@'
    )
    parser.convert_arg_line_to_args = lambda line: line.split('#')[0].split()
    parser.add_argument(
        '--variants', nargs='+', required=True, metavar='NAME=CONFIG[:key=value,...]', help='with changes to the config'
    )
    parser.add_argument('--data', type=Path, required=True, help='folder with train and val, as for tools/evaluate.py')
    parser.add_argument('--store', help='teacher store that all variants with a teacher read')
    parser.add_argument(
        '--seeds', nargs='+', type=seed_number, default=[0, 1, 2], help='of training; default: %(default)s'
    )
    parser.add_argument('--labels', nargs='+', default=['1', '10', '100%'], help='of the linear probes')
    parser.add_argument('--draws', nargs='+', type=int, default=[0, 1, 2], help='seeds of the draws of these labels')
    parser.add_argument('--names', help='vocabulary of the zero-shot evaluation; default: those of training')
    parser.add_argument('--size', type=int, help="pixels in evaluation; default: the config's")
    parser.add_argument('--workers', type=int, default=2, help='processes that read pictures in evaluation')
    # More than once: some out of a file, others on top of them.
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], help='changes to all configs')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/study'), help='default: %(default)s')
    args = parser.parse_args(argv)
    variants = {}
    for text in args.variants:
        found = re.fullmatch(r'([\w.+-]+)=(.+?\.py)(?::(.+))?', text)
        if not found:
            parser.error(f'--variants takes NAME=CONFIG.py or NAME=CONFIG.py:key=value,key=value, got {text!r}')
        name, config, options = found.groups()
        if name in variants:
            parser.error(f'--variants has two named {name!r}')
        # A comma inside a value, as in [a,b], is followed by no key.
        variants[name] = Variant(config, re.split(r',(?=[\w.]+=)', options) if options else [])
    args.variants = variants
    return args


def options_of(args: argparse.Namespace, variant: Variant) -> list[str]:
    """List the changes to a variant's config: those to all configs, less what it takes back, and its own."""
    back = {option for option in variant.options if option.endswith('=')}
    common = [option for option in args.cfg_options if f'{option.split("=")[0]}=' not in back]
    return [*common, *(option for option in variant.options if option not in back)]


def train(args: argparse.Namespace, variant: Variant, seed: int, work_dir: Path) -> Path:
    """Train one variant with one seed, or what is left of it.

    Args:
        args (argparse.Namespace): Of :func:`parse_args`.
        variant (Variant): The variant.
        seed (int): Seed.
        work_dir (Path): Of the run.

    Returns:
        Path: The last checkpoint.

    Raises:
        ConfigError: The folder holds a run of something else.
        RuntimeError: The run failed; the message says where its output is.
    """
    arguments = [variant.config, '--work-dir', str(work_dir)]
    store = args.store if 'teacher' in Config.fromfile(variant.config).model else None
    arguments += ['--store', str(store)] if store else []
    arguments += ['--cfg-options', f'data_root={args.data}', f'randomness.seed={seed}', *options_of(args, variant)]
    record, last = work_dir / 'train.json', work_dir / 'last_checkpoint'
    asked = dict(arguments=arguments, contents=contents(variant.config, store))
    told = dict(asked, finished=False)
    if last.is_file() and record.is_file():  # a run that failed before its first checkpoint leaves nothing to keep
        told = json.loads(record.read_text())
    refuse_other(work_dir, told, asked)
    if not told['finished']:
        work_dir.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(told, indent=1) + '\n')
        resume = ['--resume'] if last.is_file() else []
        run(TOOLS / 'train.py', [*arguments[:1], *resume, *arguments[1:]], work_dir / 'output.txt')
        if not last.is_file():
            raise RuntimeError(f'The run in {work_dir} ended without a checkpoint. Has the config a CheckpointHook?')
        record.write_text(json.dumps(dict(told, finished=True), indent=1) + '\n')
    return work_dir / Path(last.read_text().strip()).name  # the folder may have been moved since


def evaluate(args: argparse.Namespace, checkpoint: Path) -> dict:
    """Evaluate a checkpoint, unless that has been done in the same way.

    Args:
        args (argparse.Namespace): Of :func:`parse_args`.
        checkpoint (Path): Of :func:`train`.

    Returns:
        dict: Its figures, see :func:`evaluate` in tools/evaluate.py.

    Raises:
        RuntimeError: The evaluation failed; the message says where its output is.
    """
    out = checkpoint.parent / 'evaluation'
    arguments = [str(checkpoint), '--data', str(args.data), '--labels', *args.labels]
    arguments += ['--seeds', *map(str, args.draws), '--out', str(out), '--workers', str(args.workers), '--c', C]
    arguments += ['--names', args.names] if args.names else []
    arguments += ['--size', str(args.size)] if args.size else []
    record = out / 'arguments.json'
    told = dict(arguments=arguments, contents=contents(None, str(checkpoint), args.names))
    if not record.is_file() or json.loads(record.read_text()) != told:
        record.unlink(missing_ok=True)  # of the table that is about to be replaced
        run(TOOLS / 'evaluate.py', arguments, out / 'output.txt')
        record.write_text(json.dumps(told) + '\n')
    return json.loads((out / 'table.json').read_text())['results']['student']


def main(argv: Optional[list[str]] = None) -> dict:
    """Do what has not been done, and report after each seed.

    Returns:
        dict: What study.json holds.
    """
    args = parse_args(argv)
    found: dict[str, dict[str, dict]] = {name: {} for name in args.variants}
    for seed in args.seeds:
        for name, variant in args.variants.items():
            figures = evaluate(args, train(args, variant, seed, args.work_dir / f'{name}_seed{seed}'))
            found[name][str(seed)] = figures
            print(f'seed {seed}  {table(summarise({name: {str(seed): figures}})).splitlines()[2]}', flush=True)
        summary = summarise(found)
        text = table(summary)
        report = dict(
            data=str(args.data),
            store=args.store,
            labels=args.labels,
            draws=args.draws,
            names=args.names,
            variants={name: variant._asdict() for name, variant in args.variants.items()},
            runs=found,
            summary=summary,
        )
        (args.work_dir / 'study.md').write_text(text + '\n')
        (args.work_dir / 'study.json').write_text(json.dumps(report, indent=1) + '\n')
        draw(args.work_dir / 'study.png', summary)
    print(f'\n{text}\n\nAlso in {args.work_dir}: study.md, study.json, study.png.')
    return report


if __name__ == '__main__':
    run_tool(main)
