"""The images of the demo world: one object, or a scene of several, by seed, split and index."""

import re

import numpy as np

from .drawing import COLORS, SHAPES, TEXTURES, draw_ground, draw_object

DEMO_CLASSES = tuple(SHAPES)
GROUND = 'ground'  # the name of what is around the objects
SPLITS = ('train', 'val')
# Terse captions only name the object; full ones also describe it. Most are terse, because colours are easier to learn,
# and a contrastive teacher would learn little else for a long time.
TERSE_CAPTIONS = ('a {name}', 'a photo of a {name}', 'an image of a {name}', 'the {name}')
FULL_CAPTIONS = (
    'a {color} {name}',
    'a photo of a {color} {name}',
    'a {size} {color} {name}',
    'a photo of a {name} on a {texture} ground',
    'a {color} {name} on a {ground} ground',
    'a photo of a {size} {color} {name} on a {texture} {ground} ground',
)
# A quarter of an image shows the object from this share of its pixels on, and the ground up to that one.
OBJECT_FROM, GROUND_UP_TO = 0.3, 0.05


def render_object(seed, split, index, size=64):
    """Draw one image of one named object.

    Args:
        seed (int): Seed of the world, >= 0.
        split (str): 'train' or 'val'; they share no random stream.
        index (int): Number of the image; its class is ``index % len(DEMO_CLASSES)``, so that
            the classes are balanced.
        size (int): Side in pixels, >= 32. Defaults to 64.

    Returns:
        tuple: The image (size, size, 3) uint8 RGB, the label (int), the caption (str), and the captions of its quarters
        (list): top left, top right, bottom left, bottom right, each of the object, of the ground, or '' for a mixture.

    Example:
        >>> from mmlgd.demo import DEMO_CLASSES, render_object
        >>> image, label, caption, quarters = render_object(seed=0, split='train', index=2)
        >>> image.shape, DEMO_CLASSES[label], 'star' in caption
        ((64, 64, 3), 'star', True)
    """
    rng = _generator(seed, split, 0, index)
    label = index % len(DEMO_CLASSES)
    canvas, words = _ground(rng, size)
    radius = rng.uniform(0.24, 0.40) * size
    color = _other_color(rng, words['ground'])
    rgb, cover = draw_object(rng, DEMO_CLASSES[label], color, radius)
    x, y = _place(rng, rgb, size)
    _paste(canvas, rgb, cover, x, y)
    words.update(name=DEMO_CLASSES[label], color=color, size='large' if radius > 0.32 * size else 'small')
    captions = TERSE_CAPTIONS if rng.random() < 0.85 else FULL_CAPTIONS
    caption = captions[rng.integers(len(captions))].format(**words)
    caption = re.sub(r'\ba (?=orange)', 'an ', caption)
    return _develop(rng, canvas), label, caption, _quarters(DEMO_CLASSES[label], cover, x, y, size)


def render_scene(seed, split, index, size=128):
    """Draw one scene of 2 to 5 objects, which may partly hide each other.

    Args:
        seed (int): Seed of the world, >= 0.
        split (str): 'train' or 'val'.
        index (int): Number of the scene; it always contains class ``index % len(DEMO_CLASSES)``.
        size (int): Side in pixels, >= 64. Defaults to 128.

    Returns:
        tuple: The image (size, size, 3) uint8 RGB; the labels (M,) int, M in 2..5; and the
        masks (M, size, size) bool of the visible parts, which do not overlap.

    Example:
        >>> from mmlgd.demo import render_scene
        >>> image, labels, masks = render_scene(seed=0, split='val', index=0)
        >>> len(labels) == len(masks), int(masks.sum(axis=0).max())
        (True, 1)
    """
    rng = _generator(seed, split, 1, index)
    canvas, words = _ground(rng, size)
    wanted = int(rng.integers(2, 6))
    labels, masks = [], []
    for _ in range(100):
        label = int(rng.integers(len(DEMO_CLASSES))) if labels else index % len(DEMO_CLASSES)
        color = _other_color(rng, words['ground'])
        rgb, cover = draw_object(rng, DEMO_CLASSES[label], color, rng.uniform(0.10, 0.21) * size)
        x, y = _place(rng, rgb, size)
        mask = np.zeros((size, size), dtype=bool)
        mask[y : y + rgb.shape[0], x : x + rgb.shape[1]] = cover >= 0.5
        # A neighbour may hide at most a fifth of an object, so that both stay recognisable.
        if any((mask & other).sum() > 0.2 * min(mask.sum(), other.sum()) for other in masks):
            continue
        _paste(canvas, rgb, cover, x, y)
        masks = [other & ~mask for other in masks] + [mask]
        labels.append(label)
        if len(labels) == wanted:
            break
    return _develop(rng, canvas), np.array(labels), np.stack(masks)


def _generator(seed, split, kind, index):
    # Each image has its own random stream: it does not depend on the images drawn before.
    return np.random.default_rng([seed, SPLITS.index(split), kind, index])


def _ground(rng, size):
    """A ground (size, size, 3) float, and the two words that describe it."""
    color, texture = str(rng.choice(list(COLORS))), str(rng.choice(TEXTURES))
    return draw_ground(rng, texture, color, size), dict(ground=color, texture=texture)


def _other_color(rng, ground):
    return str(rng.choice([color for color in COLORS if color != ground]))


def _place(rng, rgb, size):
    """Choose left and top so that an object is completely inside the image, if it fits."""
    return [int(rng.integers(max(1, size - side + 1))) for side in (rgb.shape[1], rgb.shape[0])]


def _quarters(name, cover, x, y, size):
    """Write a caption for each quarter of an image with one object."""
    canvas = np.zeros((size, size, 1))
    _paste(canvas, np.ones((*cover.shape, 1)), cover, x, y)
    half = size // 2
    shares = [rows[:, columns].mean() for rows in (canvas[:half], canvas[half:]) for columns in np.s_[:half, half:]]
    return [f'a {name}' if share >= OBJECT_FROM else f'a {GROUND}' if share <= GROUND_UP_TO else '' for share in shares]


def _paste(canvas, rgb, cover, x, y):
    """Composite an object over the canvas, in place; parts outside are cut off."""
    window = canvas[y : y + rgb.shape[0], x : x + rgb.shape[1]]
    height, width = window.shape[:2]
    window += cover[:height, :width, None] * (rgb[:height, :width] - window)


def _develop(rng, canvas):
    """Add light and grain, then convert to uint8."""
    canvas = canvas * rng.uniform(0.8, 1.1) + rng.normal(0, rng.uniform(1, 6), canvas.shape)
    return np.clip(canvas, 0, 255).astype(np.uint8)
