"""Segmentation by names as one graph, for the ONNX file."""

import torch.nn.functional as F
from torch import Tensor, nn

from mmlgd.student import Student


class SegmentationScores(nn.Module):
    r"""Scores of names for each pixel: places, their similarities to the bank, and these at the size of the image.

    .. math:: \text{softmax}_k\Big(\text{bilinear}_u\big(s_{ij} \cdot \text{TSB}_k\big) / \tau\Big)

    As :class:`~mmlgd.student.Segmenter` without windows, for images that are already resized.

    Args:
        student (Student): With the names.
    """

    def __init__(self, student: Student):
        super().__init__()
        self.student = student

    @property
    def takes_any_size(self) -> bool:
        """bool: Whether height and width may vary, in steps of :attr:`cell`."""
        return self.student.tower.takes_any_size

    @property
    def cell(self) -> tuple[int, int]:
        """Tuple[int, int]: Height and width of a place in pixels."""
        return tuple(map(round, self.student.tower.cell))

    def whole(self, size: tuple[int, int]) -> tuple[int, int]:
        """Round an image size to whole places, as a segmenter does: others would shift the scores.

        Args:
            size (Tuple[int, int]): Height and width in pixels.

        Returns:
            Tuple[int, int]: In steps of :attr:`cell`; the same where the student takes its own size alone.
        """
        if not self.takes_any_size:
            return size
        return tuple(max(1, round(side / step)) * step for side, step in zip(size, self.cell))

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (N, 3, H, W) to scores (N, K, H, W), which sum to 1 over the names."""
        places = self.student.tower.encode(images)  # (N, h, w, D)
        logits = (places @ self.student.bank.T / self.student.temperature).permute(0, 3, 1, 2)
        return F.interpolate(logits, images.shape[-2:], mode='bilinear').softmax(dim=1)
