"""The parts of ``make card``, the most wanted first: a script of ``tools/benchmarks``, in full and in tiny sizes."""

import shlex
from dataclasses import dataclass

BATCH, LGKA_BATCH, CLASSES = 256, 2048, (80, 1000, 21841)
_K = ' '.join(map(str, CLASSES))
_LOOKS = 'timm:vit_small_patch14_dinov2'
_ONCE = '--rounds 1 --warmup 1'
_TINY = f'--teacher ViT-S-32-alt {_ONCE}'


@dataclass(frozen=True)
class Part:
    """A script that measures something, and writes it to the file of ``--json``.

    Attributes:
        name (str): What it measures.
        script (str): Its name in ``tools/benchmarks``.
        arguments (List[str]): Of its command line; IMAGES and OUT stand for the folders.
        limit (float): Seconds that it may take.
    """

    name: str
    script: str
    arguments: list[str]
    limit: float


# Name, script, arguments in full, arguments in tiny, seconds. The published loop takes seconds for
# each round. Not here: memory.py, which is about machines without a card.
_PARTS = [
    ('tests', 'card_tests', '', '', 150),
    (
        'step',
        'step',
        f'--classes {_K} --batch {BATCH} --rounds 10',
        f'--classes 3 --batch 2 {_TINY}',
        150,
    ),
    (
        'training',
        'training',
        f'--images IMAGES --batch {BATCH} --seconds 60',
        f'--images IMAGES --classes 5 --batch 4 --size 64 --workers 0 --seconds 4 --log-every 1 {_TINY}',
        180,
    ),
    (
        'lgka',
        'lgka',
        f'--classes {_K} --batch {LGKA_BATCH} --rounds 5 --warmup 2',
        f'--classes 3 5 --batch 4 --dim 8 {_ONCE}',
        60,
    ),
    (
        'losses',
        'losses',
        f'--classes {_K} --batch {BATCH}',
        f'--classes 3 5 --batch 4 --dim 8 {_ONCE}',
        45,
    ),
    ('teacher', 'teacher', f'--batch {BATCH}', f'--batch 1 {_TINY}', 75),
    (
        'dense',
        'dense',
        f'--batch {BATCH}',
        f'--classes 3 --batch 2 {_TINY}',
        90,
    ),
    ('guided', 'guided', f'--batch {BATCH}', f'--batch 2 {_TINY}', 75),
    ('pipeline', 'pipeline', '--images IMAGES', f'--images IMAGES --batch 2 {_ONCE}', 45),
    (
        'store',
        'store',
        '--images IMAGES --count 512 --rounds 5',
        f'--images IMAGES --also ViT-S-32-alt --count 4 --batch 2 {_TINY}',
        90,
    ),
    ('scale', 'scale', '', '--batch 4 --classes 5 --dim 8', 45),
    (
        'loading',
        'loading',
        '--images IMAGES --device cpu',
        f'--images IMAGES --device cpu --batch 2 {_ONCE}',
        45,
    ),
    (
        'profile',
        'profile_step',
        f'--batch {BATCH} --out OUT/step.png',
        '--classes 3 --batch 1 --teacher ViT-S-32-alt --out OUT/step.png',
        75,
    ),
    (
        'pair',
        'pair',
        f'--words RN50 --looks {_LOOKS} --looks-size 224 --batch {BATCH} --rounds 10',
        f'--words ViT-S-32-alt --looks timm:test_resnet --looks-size 64 --classes 3 --batch 2 {_ONCE}',
        90,
    ),
]
_TINY_LIMIT = 900  # seconds of a part that takes ten, on a CPU that does a lot beside it
NAMES = [name for name, *_ in _PARTS]


def parts_of(tiny: bool) -> list[Part]:
    """List the parts.

    Args:
        tiny (bool): In sizes that show that everything runs.

    Returns:
        List[Part]: In the order in which they are run.

    Examples:
        >>> part = parts_of(tiny=False)[NAMES.index('loading')]
        >>> part.script, part.arguments
        ('loading', ['--images', 'IMAGES', '--device', 'cpu'])
    """
    return [
        Part(name, script, shlex.split(small if tiny else full), _TINY_LIMIT if tiny else limit)
        for name, script, full, small, limit in _PARTS
    ]
