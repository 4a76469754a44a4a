"""Images in tar shards, some of which may be bad."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmlgd.errors import brief
from mmlgd.registry import DATASETS
from mmlgd.utils.validation import require

from .images import Images
from .loading import LoadImageFromFile
from .shard_index import ShardIndex
from .shards import refuse_remote, shards_of


@DATASETS.register_module()
class ImageShards(Images):
    """Images in tar files, in the layout of webdataset: :class:`Images`, except that the files lie in shards.

    A member ``KEY.jpg`` of a shard is an image; members with other endings (``KEY.cls``, ``KEY.json``) are left out
    without being read, and no labels are read. The headers of the shards are read once, and each image is then read at
    its place. So an index stands for an image, as in a folder: order, seeds, resuming, bad images and teacher stores
    work in the same way.

    Args:
        data_root (str): Paths with braces (``/data/train-{000000..000009}.tar``), a folder of ``.tar`` files, or a
            single file; see :func:`~mmlgd.datasets.shards.shards_of`.
        **kwargs: Of :class:`Images`, except for lists and labels (``ann_file``, ``data_prefix``, ``with_label=True``).

    Raises:
        ConfigError: It has a list or labels, or a pipeline that begins with another transform than
            ``mmlgd.LoadImageFromFile``. Or the shards are not on this machine.
        MissingFileError: A shard is missing, or no shard has an image.
        ShardError: A shard is compressed, cut off or damaged, has the same key twice, or an image that is a link.

    Examples:
        >>> dataset = dict(type='mmlgd.ImageShards', data_root='/data/train-{000000..000009}.tar', view='moco-v2')
    """

    def __init__(self, data_root: str, *, with_label: bool = False, **kwargs: Any):
        require(
            isinstance(data_root, (str, Path)),
            f"data_root of mmlgd.ImageShards is one text: a pattern such as '/data/train-{{000000..000009}}.tar', a "
            f"folder or a file; got {brief(data_root)}. Braces take different names, too: '/data/{{a,b}}.tar'.",
        )
        refuse_remote(data_root)  # mmengine would look for a client of its own
        for name in ('ann_file', 'data_prefix'):
            require(not kwargs.get(name), f'{name} is {kwargs.get(name)!r}, but shards have all images of data_root.')
        require(not with_label, 'with_label=True: labels in shards are not read. Give with_label=False.')
        # Its own list is arrays, which need no serialization.
        super().__init__(data_root=data_root, with_label=False, serialize_data=False, **kwargs)
        steps = self.pipeline.transforms
        require(
            not steps or isinstance(steps[0], LoadImageFromFile),
            "The pipeline of mmlgd.ImageShards begins with dict(type='mmlgd.LoadImageFromFile'), which reads an image "
            'at its place in a shard; others would look for a file.',
        )

    def load_data_list(self) -> Sequence[dict]:
        """List the images of all shards.

        Returns:
            ShardIndex: In the order of shards and members.
        """
        shards = [os.path.abspath(shard) for shard in shards_of(self.data_root)]
        index = ShardIndex(shards, self.extensions)
        # As in a folder of images: all paths are below it, and a teacher store knows them by the rest.
        self.data_root = os.path.commonpath([os.path.dirname(shard) for shard in shards])
        return index
