"""Boxes of a data set in COCO's, VOC's or YOLO's format, brought to COCO's with a split for training and validation."""

from .found import BoxesError, FoundBoxes, find_boxes
from .split import split_images

__all__ = ['BoxesError', 'FoundBoxes', 'find_boxes', 'split_images']
