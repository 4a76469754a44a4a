"""Trains the demo's substitute for CLIP: a tiny open_clip model, on the captions of the demo world.

CLIP learns from captions of whole images. On a few thousand images that gives no useful places, so this one also learns
from captions that say what the quarters of an image show.
"""

import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

MODEL = dict(
    model_cfg=dict(
        embed_dim=128,
        # A small residual network, which learns these shapes in a fraction of the time of a small ViT.
        vision_cfg=dict(
            timm_model_name='test_resnet',
            timm_model_pretrained=False,
            timm_pool='avg',
            timm_proj='linear',
            image_size=64,
        ),
        text_cfg=dict(context_length=16, vocab_size=49408, width=64, heads=2, layers=2),
    ),
    preprocess_cfg=dict(mean=list(open_clip.OPENAI_DATASET_MEAN), std=list(open_clip.OPENAI_DATASET_STD)),
)
EPOCHS, BATCH, LEARNING_RATE = 8, 32, 3e-3
QUARTERS = 0.5  # weight of the loss of quarters
WEIGHTS = 'open_clip_model.safetensors'


def train_teacher(world: Path, folder: Path, seed: int = 0) -> str:
    """Train the teacher once, in open_clip's own folder layout.

    Args:
        world (Path): A demo world, see :func:`mmlgd.demo.write_demo_world`.
        folder (Path): Folder for the teacher.
        seed (int): Seed of weights and batches. Defaults to 0.

    Returns:
        str: ``'local-dir:FOLDER'``, the name that open_clip and ``mmlgd.OpenCLIPTeacher`` load it by.
    """
    name = f'local-dir:{folder}'
    recipe = dict(
        model=MODEL,
        epochs=EPOCHS,
        batch=BATCH,
        lr=LEARNING_RATE,
        quarters=QUARTERS,
        seed=seed,
        world=_read(world / 'world.json'),
    )
    if (folder / WEIGHTS).is_file() and _read(folder / 'recipe.json') == recipe:
        print(f'Teacher: {folder} is up to date.')
        return name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'open_clip_config.json').write_text(json.dumps(MODEL, indent=2))
    torch.manual_seed(seed)
    # The folder may hold weights of another recipe; this one must not start from them.
    clip = open_clip.create_model(name, load_weights=False).train()
    for key, weight in clip.visual.named_parameters():
        if key.endswith('bn2.weight'):
            # timm starts every residual block as the identity. This suits long schedules; here training took twice as
            # long.
            torch.nn.init.ones_(weight)
    images = _load(world, open_clip.get_tokenizer(name))
    started = time.time()
    _fit(clip, images)
    save_file({key: value.contiguous() for key, value in clip.state_dict().items()}, folder / WEIGHTS)
    (folder / 'recipe.json').write_text(json.dumps(recipe))
    print(f'Teacher: trained in {time.time() - started:.0f} s on {len(images.pixels)} captioned images.')
    return name


class _Images(NamedTuple):
    pixels: Tensor  # (N, 3, H, W), bytes
    captions: Tensor  # (N, tokens)
    quarters: Tensor  # (N, 2, 2), indices of quarter captions, -1 for none
    quarter_captions: Tensor  # (K, tokens)


def _fit(clip: torch.nn.Module, images: _Images) -> None:
    contrastive = open_clip.ClipLoss()
    # Random word vectors are enough for a few dozen words; training 49,408 of them would take half of the time.
    clip.token_embedding.requires_grad_(False)
    trained = [p for p in clip.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, LEARNING_RATE, weight_decay=0.05, fused=True)
    steps = len(images.pixels) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=EPOCHS * steps, pct_start=0.15)
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in torch.randperm(len(images.pixels))[: steps * BATCH].split(BATCH):
            pixels, quarters = _jitter(images.pixels[batch], images.quarters[batch])
            scale = clip.logit_scale.exp()
            image, places = _embed(clip.visual, pixels)
            captions = clip.encode_text(images.captions[batch], normalize=True)
            of_images = contrastive(image, captions, scale)
            names = clip.encode_text(images.quarter_captions, normalize=True)
            of_quarters = F.cross_entropy(scale * (places @ names.T).permute(0, 3, 1, 2), quarters, ignore_index=-1)
            loss = of_images + QUARTERS * of_quarters
            optimizer.zero_grad()
            loss.backward()
            clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                clip.logit_scale.clamp_(0, np.log(100))  # CLIP's own bound
            total += of_images.item()
        print(f'  teacher epoch {epoch + 1}/{EPOCHS}  contrastive loss {total / steps:.3f}', flush=True)


def _embed(tower: torch.nn.Module, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Embed images, by the mean of their features, and their quarters, by the means of a quarter of the features."""
    features = tower.trunk.forward_features(pixels)  # (N, C, h, w)
    means = [F.adaptive_avg_pool2d(features, parts).permute(0, 2, 3, 1) for parts in (1, 2)]
    image, quarters = (F.normalize(tower.head(mean), dim=-1) for mean in means)
    return image[:, 0, 0], quarters


def _jitter(pixels: Tensor, quarters: Tensor) -> tuple[Tensor, Tensor]:
    """Flip and shift a batch as a whole, then normalise as CLIP does."""
    if torch.rand(()) < 0.5:
        pixels, quarters = pixels.flip(-1), quarters.flip(-1)
    pixels = pixels.roll(tuple(torch.randint(-6, 7, (2,)).tolist()), (-2, -1))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD))
    return (pixels.float() / 255 - mean) / std, quarters


def _load(world: Path, tokenizer) -> _Images:
    """Read all captioned images."""
    files, captions = zip(*_rows(world / 'captions.txt'))
    pixels = np.stack([np.asarray(Image.open(world / file).convert('RGB')) for file in files])
    parts = np.array([row[1:] for row in _rows(world / 'quarters.txt')])  # (N, 4)
    known = sorted(set(parts.flat) - {''})
    quarters = torch.tensor([[known.index(part) if part else -1 for part in row] for row in parts.tolist()])
    return _Images(
        torch.from_numpy(pixels).permute(0, 3, 1, 2), tokenizer(captions), quarters.view(-1, 2, 2), tokenizer(known)
    )


def _rows(file: Path) -> list[list[str]]:
    return [line.split('\t') for line in file.read_text().splitlines()]


def _read(file: Path):
    return json.loads(file.read_text()) if file.is_file() else None
