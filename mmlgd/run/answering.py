"""A teacher that embeds images outside a training, for the reports before one."""

from collections.abc import Sequence
from typing import Optional

from mmlgd.utils.validation import require

# Large packages are imported inside functions: the help of `mmlgd names`, which reads this module, must not wait for
# them.


def embed_images(teacher, sources: Sequence, size: Optional[int] = None):
    """Embed images with a teacher, as a training shows them to it, but in the middle crop and without augmentation.

    Args:
        teacher (BaseTeacher): Any teacher.
        sources (Sequence[ImageSource]): Images; unreadable ones are skipped with a warning.
        size (int, optional): Side in pixels of the training's images, which the teacher then brings to its own size.
            Defaults to None: the teacher's own size.

    Returns:
        Tuple[List[ImageSource], Tensor]: The M images that can be read, and (M, D) unit rows on the CPU.

    Raises:
        ConfigError: None of them can be read.
    """
    import torch
    from mmengine.device import get_device

    from mmlgd.models.zero_shot import IMAGENET_RGB
    from mmlgd.student.image_size import resized
    from mmlgd.student.images import batches, preparation
    from mmlgd.utils.bar import shown_in_bar
    from mmlgd.utils.building import build_part

    preprocessor = build_part(IMAGENET_RGB, 'model.data_preprocessor').to(get_device())
    teacher.expect_pixels_of(preprocessor)
    teacher.to(get_device())
    read, found = [], []
    prepare = preparation(resized((size, size) if size else teacher.image_size))
    for batch in batches(shown_in_bar(sources, 'Images'), prepare, 64, skip=True):
        found.append(teacher.encode_image(preprocessor(batch, False)['inputs']).cpu())
        read.extend(sources[sample.index] for sample in batch['data_samples'])
    require(bool(found), f'None of the {len(sources)} images can be read; the warnings say why.')
    return read, torch.cat(found)
