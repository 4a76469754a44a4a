"""Trains the demo's substitute for CLIP: a tiny open_clip model, on the captions of the demo world."""

import json
import time
from pathlib import Path

import numpy as np
import open_clip
import torch
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
        model=MODEL, epochs=EPOCHS, batch=BATCH, lr=LEARNING_RATE, seed=seed, world=_read(world / 'world.json')
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
    pixels, captions = _load(world, open_clip.get_tokenizer(name))
    started = time.time()
    _fit(clip, pixels, captions)
    save_file({key: value.contiguous() for key, value in clip.state_dict().items()}, folder / WEIGHTS)
    (folder / 'recipe.json').write_text(json.dumps(recipe))
    print(f'Teacher: trained in {time.time() - started:.0f} s on {len(pixels)} captioned images.')
    return name


def _fit(clip: torch.nn.Module, pixels: Tensor, captions: Tensor) -> None:
    contrastive = open_clip.ClipLoss()
    # Random word vectors are enough for a few dozen words; training 49,408 of them would take half of the time.
    clip.token_embedding.requires_grad_(False)
    trained = [p for p in clip.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, LEARNING_RATE, weight_decay=0.05, fused=True)
    steps = len(pixels) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=EPOCHS * steps, pct_start=0.15)
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in torch.randperm(len(pixels))[: steps * BATCH].split(BATCH):
            loss = contrastive(*clip(_jitter(pixels[batch]), captions[batch]))
            optimizer.zero_grad()
            loss.backward()
            clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                clip.logit_scale.clamp_(0, np.log(100))  # CLIP's own bound
            total += loss.item()
        print(f'  teacher epoch {epoch + 1}/{EPOCHS}  contrastive loss {total / steps:.3f}', flush=True)


def _jitter(pixels: Tensor) -> Tensor:
    """Flip and shift a batch as a whole, then normalise as CLIP does."""
    if torch.rand(()) < 0.5:
        pixels = pixels.flip(-1)
    pixels = pixels.roll(tuple(torch.randint(-6, 7, (2,)).tolist()), (-2, -1))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD))
    return (pixels.float() / 255 - mean) / std


def _load(world: Path, tokenizer) -> tuple[Tensor, Tensor]:
    """Read all captioned images as (N, 3, H, W) bytes and (N, tokens)."""
    rows = [line.split('\t') for line in (world / 'captions.txt').read_text().splitlines()]
    images = np.stack([np.asarray(Image.open(world / file).convert('RGB')) for file, _ in rows])
    return torch.from_numpy(images).permute(0, 3, 1, 2), tokenizer([caption for _, caption in rows])


def _read(file: Path):
    return json.loads(file.read_text()) if file.is_file() else None
