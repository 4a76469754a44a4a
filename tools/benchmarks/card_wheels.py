r"""Gather the wheels that `make card` installs on a machine without a network: `make card-wheels`, where there is one.

    python tools/benchmarks/card_wheels.py --out build/card-wheels --python 3.12

mmcv-lite stands in for mmcv, whose operators nothing here needs. What such a machine has itself is not gathered: torch,
torchvision, numpy, OpenCV, Pillow, matplotlib, scipy, regex, timm and what it needs, click, rich, pytest, hypothesis.
"""

import argparse
import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Optional

ROOT = Path(__file__).resolve().parents[2]
MOST = 64 * 2**20  # bytes of wheels and checkout together, so that they fit through a small door
# Names, with those that they import. Where setup.cfg has a range, it holds.
CARRIED = (
    *('mmengine', 'addict', 'termcolor', 'yapf', 'platformdirs', 'setuptools'),
    *('mmcv-lite', 'mmpretrain', 'einops', 'importlib-metadata', 'zipp', 'mat4py', 'modelindex', 'model-index'),
    *('markdown', 'ordered-set', 'open_clip_torch', 'ftfy', 'wcwidth', 'docstring-parser', 'kornia', 'kornia-rs'),
    'braceexpand',
)
PLATFORMS = ('manylinux_2_28_x86_64', 'manylinux_2_17_x86_64', 'manylinux2014_x86_64')


def requirements() -> list[str]:
    """Join the names with their ranges in setup.cfg.

    Returns:
        List[str]: For pip.
    """
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    extras = setup['options.extras_require']
    lines = '\n'.join([setup['options']['install_requires'], extras['openmmlab'], extras['fast']]).splitlines()
    parts = [re.fullmatch(r'([\w.-]+)(.*)', line.split(';')[0].strip()) for line in lines]
    ranges = {match[1]: match[2] for match in parts if match}
    return [f'{name}{ranges.get(name.removesuffix("-lite"), "")}' for name in CARRIED]


def check_size(wheels: int, checkout: int) -> None:
    """Refuse what does not fit.

    Args:
        wheels (int): Bytes.
        checkout (int): Bytes.
    """
    told = f'{wheels / 2**20:.1f} MiB of wheels and {checkout / 2**20:.1f} MiB of checkout'
    if wheels + checkout > MOST:
        sys.exit(f'{told} are more than {MOST / 2**20:.0f} MiB. Commit or carry less.')
    print(f'{told}, of {MOST / 2**20:.0f} MiB.')


def checkout_size() -> int:
    """Add up the files of the checkout.

    Returns:
        int: Bytes of those that git has or would take.
    """
    command = ['git', '-C', str(ROOT), 'ls-files', '-coz', '--exclude-standard']
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split('\0')
    return sum(path.stat().st_size for path in (ROOT / name for name in names if name) if path.is_file())


def main(argv: Optional[list[str]] = None) -> None:
    """Gather them, anew each time: of two versions of one package, pip would install none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('build/card-wheels'), help='default: %(default)s')
    parser.add_argument('--python', default='3.12', help='version of the machine with the card; default: %(default)s')
    args = parser.parse_args(argv)
    shutil.rmtree(args.out, ignore_errors=True)
    command = [sys.executable, '-m', 'pip', 'download', '--quiet', '--dest', str(args.out), '--no-deps']
    command += ['--only-binary=:all:', '--implementation', 'cp', '--python-version', args.python]
    command += [word for platform in PLATFORMS for word in ('--platform', platform)]
    subprocess.run([*command, *requirements()], check=True)
    check_size(sum(file.stat().st_size for file in args.out.iterdir()), checkout_size())


if __name__ == '__main__':
    main()
