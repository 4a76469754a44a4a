"""Segmentation by names: the best name for each pixel of an image, without a mask in training."""

from typing import NamedTuple, Optional, Union

import numpy as np
import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmlgd.utils.validation import require

from .images import checked_array, require_finite
from .windows import Tower, Windows, pixels_of

IGNORED = 255  # the label of pixels below the background threshold, as in the masks of OpenMMLab
_BAND = 1 << 24  # scores in memory at once, while they are brought to the size of an image


class Segmentation(NamedTuple):
    """The names of the pixels of one image.

    Attributes:
        labels (Tensor): (H, W) uint8: k for ``names[k]``, 255 for pixels below the background threshold.
        score (Tensor): (H, W) float32 in 0..1: the score of the best name, on the CPU.
        names (List[str]): The K names.
        scores (Tensor, optional): (K, H, W) float32, which sum to 1 at each pixel. None if nobody asked for them.
    """

    labels: Tensor
    score: Tensor
    names: list[str]
    scores: Optional[Tensor] = None

    def shares(self) -> list[tuple[str, float]]:
        """Measure how much of the image each name has.

        Returns:
            List[Tuple[str, float]]: Names with their share of the pixels, largest first; names without any are left
            out.
        """
        counts = torch.bincount(self.labels.flatten(), minlength=256)[: len(self.names)]
        order = counts.argsort(descending=True, stable=True).tolist()
        return [(self.names[k], counts[k].item() / self.labels.numel()) for k in order if counts[k]]


class Segmenter(nn.Module):
    r"""Names each pixel of an image of any size by the places of a tower.

    .. math:: p(k \mid u) = \text{softmax}_k\Big(\text{bilinear}_u\big(s_{ij} \cdot \text{TSB}_k\big) / \tau\Big)

    where :math:`s_{ij}` are the places of the resized image, averaged over the windows that hold them. Scores are
    brought to the image's own size, not labels.

    Args:
        tower (Tower): Its places.
        bank (Tensor): (K, D), unit rows.
        names (List[str]): K names, at most 255: a label is one byte, and 255 stands for no name.
        temperature (float): τ > 0.
        preprocessor (nn.Module): The student's data preprocessor.
        size (int, optional): See :class:`~mmlgd.student.windows.Windows`. Defaults to None.
        window (int, optional): See :class:`~mmlgd.student.windows.Windows`. Defaults to None.
        stride (int, optional): See :class:`~mmlgd.student.windows.Windows`. Defaults to None.
        background (float, optional): Threshold in 0..1: a pixel whose best score is lower gets label 255. Defaults to
            None: a name for each pixel.

    Raises:
        ConfigError: There are too many names, or a number is out of its range.
    """

    def __init__(
        self,
        tower: Tower,
        bank: Tensor,
        names: list[str],
        temperature: float,
        preprocessor: nn.Module,
        size: Optional[int] = None,
        window: Optional[int] = None,
        stride: Optional[int] = None,
        background: Optional[float] = None,
    ):
        super().__init__()
        require(len(names) <= IGNORED, f'A label map has at most {IGNORED} names, got {len(names)}. Give fewer.')
        require(
            background is None or (not isinstance(background, bool) and 0 <= background <= 1),
            f'Expected a background threshold in 0..1, got {background}.',
        )
        self.windows, self.names, self.temperature = Windows(tower, size, window, stride), names, temperature
        self.background = background
        self.preprocessor = preprocessor
        self.register_buffer('bank', bank, persistent=False)

    @torch.no_grad()
    def logits(self, inputs: Tensor) -> Tensor:
        """Compare the places of normalised images with the names.

        Args:
            inputs (Tensor): (N, 3, H, W), from :meth:`prepared` or :meth:`fitted`.

        Returns:
            Tensor: (N, K, h, w) float32, cosines / τ, on the grid of places.
        """
        tower = self.windows.tower
        grid = tuple(round(side / cell) for side, cell in zip(inputs.shape[-2:], tower.cell))
        total = inputs.new_zeros(len(inputs), len(self.bank), *grid, dtype=torch.float32)
        times = total.new_zeros(grid)
        for rows, columns in self.windows.boxes(grid):
            extent = pixels_of((rows.stop - rows.start, columns.stop - columns.start), tower.cell)
            # A cell may be a fraction of pixels: the last window still ends with the image.
            top, left = map(min, pixels_of((rows.start, columns.start), tower.cell), _left_over(inputs, extent))
            places = tower.encode(inputs[..., top : top + extent[0], left : left + extent[1]])  # (N, h', w', D)
            with torch.autocast(places.device.type, enabled=False):
                total[..., rows, columns] += (places.float() @ self.bank.T).permute(0, 3, 1, 2)
            times[rows, columns] += 1
        return total / times / self.temperature

    @torch.no_grad()
    def segment(self, image: Union[np.ndarray, Tensor], scores: bool = False) -> Segmentation:
        """Segment one image.

        Args:
            image (ndarray | Tensor): (H, W, 3) of uint8 in BGR order, or (3, H, W), normalised.
            scores (bool): Keep the scores of all names. Defaults to False.

        Returns:
            Segmentation: At the size of the image, on the CPU.

        Raises:
            ConfigError: It is no such image.
        """
        if isinstance(image, Tensor):
            require(
                image.ndim == 3 and image.shape[0] == 3 and bool(image.numel()) and image.is_floating_point(),
                f'A tensor of one image is (3, height, width), of normalised floats; got shape {tuple(image.shape)} of '
                f'{image.dtype}. Give pixels as an array (height, width, 3), or normalise them.',
            )
            require_finite(image)
            return self.at_size(self.logits(self.fitted(image[None]))[0], tuple(image.shape[-2:]), scores)
        pixels = torch.from_numpy(np.ascontiguousarray(checked_array(image))).permute(2, 0, 1)  # (3, H, W)
        return self.at_size(self.logits(self.prepared(pixels[None]))[0], image.shape[:2], scores)

    def prepared(self, pixels: Tensor) -> Tensor:
        """Resize images and normalise them.

        Args:
            pixels (Tensor): (N, 3, H, W), BGR, 0..255.

        Returns:
            Tensor: (N, 3, H', W'), for :meth:`logits`.
        """
        pixels = self.fitted(pixels if pixels.device.type == 'cpu' else pixels.float())  # a GPU resizes no bytes
        return self.preprocessor(dict(inputs=pixels, data_samples=[DataSample() for _ in pixels]), False)['inputs']

    def fitted(self, images: Tensor) -> Tensor:
        """Resize images to whole places, as :class:`~mmlgd.student.windows.Windows` says.

        Args:
            images (Tensor): (N, 3, H, W), of any size, normalised or not.

        Returns:
            Tensor: (N, 3, H', W').
        """
        size = pixels_of(self.windows.grid_of(images.shape[-2:]), self.windows.tower.cell)
        if tuple(images.shape[-2:]) == size:
            return images
        return F.interpolate(images, size, mode='bilinear', antialias=True)

    def at_size(self, logits: Tensor, shape: tuple[int, int], keep: bool = False) -> Segmentation:
        """Name the pixels of an image from the logits of its places.

        Args:
            logits (Tensor): (K, h, w), of one image, from :meth:`logits`.
            shape (Tuple[int, int]): H and W.
            keep (bool): Keep the scores of all names. Defaults to False.

        Returns:
            Segmentation: At this size, on the CPU.
        """
        # Some rows at a time: all at once may fill the memory.
        height, width = shape
        mixing = F.interpolate(torch.eye(logits.shape[1])[None], height, mode='linear')[0].to(logits)  # (h, H)
        labels, best, kept = [], [], []
        for some in mixing.split(max(1, _BAND // (len(logits) * width)), dim=1):
            band = torch.einsum('khw,hr->krw', logits, some)
            band = F.interpolate(band[None], (some.shape[1], width), mode='bilinear')[0]  # (K, rows, W)
            band = band.softmax(dim=0)
            score, label = band.max(dim=0)
            if self.background is not None:
                label = label.masked_fill(score < self.background, IGNORED)
            labels.append(label.to(torch.uint8).cpu())
            best.append(score.cpu())
            kept.extend([band.cpu()] if keep else [])
        return Segmentation(torch.cat(labels), torch.cat(best), self.names, torch.cat(kept, dim=1) if keep else None)


def _left_over(images: Tensor, extent: tuple[int, int]) -> tuple[int, int]:
    return images.shape[-2] - extent[0], images.shape[-1] - extent[1]
