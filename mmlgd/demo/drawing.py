"""Draws the named objects and the textured grounds of the demo world.

Everything is drawn from a :class:`numpy.random.Generator` that the caller seeds.
"""

import math

import numpy as np
from PIL import Image, ImageDraw

SUPERSAMPLE = 4  # outlines are filled at 4x and box-filtered down: smooth edges at 64 px

# The words of the captions. Grounds have the same colours, faded, so that no colour identifies an object.
COLORS = {
    'red': (214, 40, 40),
    'orange': (240, 130, 20),
    'yellow': (246, 206, 40),
    'green': (50, 150, 60),
    'blue': (40, 90, 210),
    'purple': (125, 55, 165),
    'pink': (240, 120, 175),
    'brown': (125, 80, 45),
    'white': (245, 245, 245),
    'black': (30, 30, 34),
}
TEXTURES = ('plain', 'striped', 'checked', 'dotted', 'wavy', 'shaded', 'noisy')


def _arc(radius=1.0, start=0.0, stop=2 * math.pi, center=(0.0, 0.0), squeeze=1.0, n=40):
    """Points of an arc, (n, 2); ``squeeze`` scales its height."""
    t = np.linspace(start, stop, n)
    x, y = center[0] + radius * np.cos(t), center[1] + radius * squeeze * np.sin(t)
    return np.stack([x, y], axis=1)


def _star(points=5, inner=0.45):
    t = np.arange(2 * points) * math.pi / points - math.pi / 2
    r = np.where(np.arange(2 * points) % 2 == 0, 1.0, inner)
    return np.stack([r * np.cos(t), r * np.sin(t)], axis=1)


def _heart():
    t = np.linspace(0, 2 * math.pi, 60)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x / 16, y / 16 + 0.1], axis=1)


def _moon():
    # Two arcs that share their end points: the limb, and the rim of a smaller circle pushed aside.
    outer = _arc(1.0, 0.25 * math.pi, 1.75 * math.pi)
    tip = outer[0]
    center = (tip[0] - 0.25, 0.0)
    angle = math.atan2(tip[1], tip[0] - center[0])
    inner = _arc(math.hypot(tip[0] - center[0], tip[1]), 2 * math.pi - angle, angle, center)
    return np.concatenate([outer, inner])


def _rect(x0, y0, x1, y1):
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], dtype=float)


def _cross(arm=0.34):
    corner = [(-arm, -1), (arm, -1), (arm, -arm)]  # one arm; the other arms are rotated copies
    turned = [np.array(corner) @ np.linalg.matrix_power(np.array([(0, 1), (-1, 0)]), k) for k in range(4)]
    return np.concatenate(turned)


def _cube():
    hexagon = _arc(1.0, -math.pi / 2, 1.5 * math.pi, n=7)[:6]  # top, then clockwise
    middle = np.zeros(2)
    top = np.array([hexagon[0], hexagon[1], middle, hexagon[5]])
    right = np.array([hexagon[1], hexagon[2], hexagon[3], middle])
    left = np.array([hexagon[5], middle, hexagon[3], hexagon[4]])
    return [(left, 'body'), (top, 'light'), (right, 'dark')]


def _ball():
    wedge = math.pi / 3
    panels = [
        (np.concatenate([np.zeros((1, 2)), _arc(1.0, 2 * i * wedge, (2 * i + 1) * wedge)]), 'light') for i in range(3)
    ]
    return [(_arc(), 'body'), *panels, (_arc(0.2, n=20), 'body')]


# name -> parts in the order of painting: (polygon in [-1, 1], y down; tone). A 'hole' cuts through.
SHAPES = {
    'ball': _ball(),
    'box': _cube(),
    'star': [(_star(), 'body')],
    'ring': [(_arc(), 'body'), (_arc(0.52), 'hole')],
    'cross': [(_cross(), 'body')],
    'heart': [(_heart(), 'body')],
    'moon': [(_moon(), 'body')],
    'fish': [
        (np.array([(0.35, 0), (1, -0.55), (0.82, 0), (1, 0.55)]), 'dark'),
        (_arc(0.75, center=(-0.25, 0), squeeze=0.66), 'body'),
        (_arc(0.11, center=(-0.62, -0.12), n=16), 'ink'),
    ],
    'tree': [
        (_rect(-0.16, 0.4, 0.16, 1), 'dark'),
        (np.array([(0, -0.45), (0.85, 0.6), (-0.85, 0.6)]), 'body'),
        (np.array([(0, -1), (0.65, 0.08), (-0.65, 0.08)]), 'body'),
    ],
    'house': [
        (_rect(-0.72, -0.15, 0.72, 0.95), 'body'),
        (np.array([(0, -1), (1, -0.1), (-1, -0.1)]), 'dark'),
        (_rect(-0.5, 0.3, -0.1, 0.95), 'ink'),
        (_rect(0.12, 0.12, 0.5, 0.48), 'light'),
    ],
}
MIRRORED = {'fish', 'moon'}  # these face left or right: half of them are flipped


def jitter(rng, color, amount=18):
    """A shade of a named colour, (3,) float in [0, 255]."""
    return np.clip(np.array(COLORS[color], dtype=float) + rng.uniform(-amount, amount, 3), 0, 255)


def draw_object(rng, name, color, radius):
    """Draw one object alone.

    Args:
        rng (numpy.random.Generator): Source of tilt, stretch and shade.
        name (str): A key of ``SHAPES``.
        color (str): A key of ``COLORS``.
        radius (float): Half the object's extent before tilt and stretch, in pixels.

    Returns:
        tuple: Colours (h, w, 3) float in [0, 255] and coverage (h, w) float in [0, 1], both
        cropped to the object.
    """
    angle, stretch = rng.uniform(-0.6, 0.6), rng.uniform(0.87, 1.15)
    flip = -1.0 if name in MIRRORED and rng.random() < 0.5 else 1.0
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    scale = radius * SUPERSAMPLE
    parts = [((points * (flip * stretch, 1 / stretch)) @ turn * scale, tone) for points, tone in SHAPES[name]]
    corner = np.min([p.min(0) for p, _ in parts], axis=0)
    extent = np.max([p.max(0) for p, _ in parts], axis=0) - corner
    width, height = (math.ceil(e / SUPERSAMPLE) + 1 for e in extent)

    body = jitter(rng, color)
    tones = {
        'body': body,
        'dark': body * 0.62,
        'light': body * 0.45 + 255 * 0.55,
        'ink': body * 0.25,
        'hole': body * 0.62,
    }
    tones = {tone: tuple(int(c) for c in rgb) for tone, rgb in tones.items()}
    size = (width * SUPERSAMPLE, height * SUPERSAMPLE)
    # Outside the object the layer has the rim's colour, so that filtering leaves no fringe.
    layer, cover = Image.new('RGB', size, tones['dark']), Image.new('L', size, 0)
    paint, stencil = ImageDraw.Draw(layer), ImageDraw.Draw(cover)
    for points, tone in parts:
        corners = [tuple(p) for p in points - corner]
        stencil.polygon(corners, fill=0 if tone == 'hole' else 255)
        paint.polygon(corners, fill=tones[tone], outline=tones['dark'], width=SUPERSAMPLE)
    return (
        np.asarray(layer.reduce(SUPERSAMPLE), dtype=float),
        np.asarray(cover.reduce(SUPERSAMPLE), dtype=float) / 255,
    )


def draw_ground(rng, texture, color, size):
    """Draw a textured ground.

    Args:
        rng (numpy.random.Generator): Source of period, direction and shades.
        texture (str): One of ``TEXTURES``.
        color (str): A key of ``COLORS``; the ground shows it faded.
        size (int): Side in pixels.

    Returns:
        numpy.ndarray: (size, size, 3) float in [0, 255].
    """
    grey = rng.uniform(90, 210)
    first = 0.6 * jitter(rng, color) + 0.4 * grey
    second = np.clip(first + rng.choice([-1, 1]) * rng.uniform(16, 36), 0, 255)
    y, x = np.mgrid[:size, :size] - size / 2.0
    angle, period, phase = rng.uniform(0, math.pi), rng.uniform(7, 15), rng.uniform(0, 2 * math.pi)
    u = (x * math.cos(angle) + y * math.sin(angle)) * 2 * math.pi / period + phase
    v = (y * math.cos(angle) - x * math.sin(angle)) * 2 * math.pi / period + phase
    if texture == 'plain':
        mix = np.zeros_like(x)
    elif texture == 'striped':
        mix = _soft_step(np.sin(u))
    elif texture == 'checked':
        mix = _soft_step(3 * np.sin(u / 2) * np.sin(v / 2))
    elif texture == 'dotted':
        mix = _soft_step(np.cos(u) + np.cos(v) - 0.75)
    elif texture == 'wavy':
        mix = _soft_step(np.sin(u + 1.6 * np.sin(v / 2)))
    elif texture == 'shaded':
        mix = 0.5 + (x * math.cos(angle) + y * math.sin(angle)) / (1.3 * size)
        second = np.clip(first + 2 * (second - first), 0, 255)
    elif texture == 'noisy':
        coarse = (rng.random((size // 4, size // 4)) * 255).astype(np.uint8)
        mix = np.asarray(Image.fromarray(coarse).resize((size, size), Image.BICUBIC)) / 255.0
        second = np.clip(first + 1.6 * (second - first), 0, 255)
    else:
        raise ValueError(f'unknown texture {texture!r}; expected one of {", ".join(TEXTURES)}')
    return first + mix[..., None] * (second - first)


def _soft_step(wave):
    return np.clip(0.5 + 2.0 * wave, 0, 1)
