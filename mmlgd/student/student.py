"""The trained student with its names, image statistics and image size."""

import copy
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Optional, Union

import torch
from mmengine.model import BaseModel
from mmpretrain.structures import DataSample
from torch import Tensor

from mmlgd.checkpoints.file_handlers import plain_files
from mmlgd.checkpoints.files import CheckpointError
from mmlgd.errors import ConfigError, shown
from mmlgd.models.banks import TextualSemanticsBank
from mmlgd.models.places import StudentPlaces
from mmlgd.models.zero_shot import set_scores, zero_shot_scores
from mmlgd.text import load_templates, load_vocabulary
from mmlgd.utils.configs import kind_of
from mmlgd.utils.devices import usable_device
from mmlgd.utils.seeds import seeded

from .image_size import image_size, reading_pipeline
from .images import batches, find_images, preparation, require_finite
from .live_teacher import build_live_teacher
from .saved import SavedStudent, backbone_of, loss_of
from .segment import Segmentation, Segmenter
from .windows import Tower, find_tower


class Student(BaseModel):
    r"""A trained student, loaded and checked once; all uses of a student are based on it.

    .. math:: p(k \mid x) = \text{softmax}_k\big(\text{neck}(\text{backbone}(x)) \cdot \text{TSB}_k / \tau_S\big)

    ``images`` of its methods are a file, a URL, a folder (searched with its sub-folders), an array (H, W, 3) in BGR
    order as OpenCV reads it, or a list of these: N images in this order, prepared by :attr:`pipeline`. A tensor (N, 3,
    H, W) must already be prepared and normalised. An unreadable image is an error.

    Args:
        checkpoint (str | Path | SavedStudent): A checkpoint of LGD training or of ``mmlgd publish``, as a file or URL.
            Other mmengine checkpoints that hold their config provide a backbone, but no names.
        out_indices (Tuple[int], optional): Stages that ``backbone`` returns. Defaults to None: the stages of training.
            Embeddings need the last stage of training.
        device (str | torch.device, optional): Where to compute. Defaults to None: the accelerator if there is one.
        teacher (dict, optional): Config of the teacher whose text tower embeds other names; without a ``type``, changes
            to the config of training, for example ``dict(pretrained='openai:/new/place/weights.pt')``. Defaults to
            None: the teacher of training; if it is in a file, a folder or a repository, it must be named here. After
            training from a store, it is the teacher that wrote the store, unless the store already has these names;
            ``dict(store='/new/place')`` gives the store's new place. A teacher other than the one of training is
            refused.

    Attributes:
        backbone (nn.Module): The backbone in eval mode; it takes normalised images and returns a tuple of features.
        neck (nn.Module | None): The projection of these features into the joint space.
        head (nn.Linear | None): Of a supervised classifier's checkpoint: its classes from the averaged last feature.
        head_classes (List[str] | None): The classes of ``head``, in its order, if the checkpoint names them.
        bank (Tensor | None): (K, D) float32, unit rows: the embeddings of the names in the joint space.
        names (List[str] | None): K names, row k of the bank is name k.
        templates (List[str] | None): The prompt templates of the bank.
        teacher_id (str | None): Identity of its teacher.
        temperature (float): τ_S of training.
        config (ConfigDict): Config of its training.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The checkpoint is truncated, has no student, does not fit, or would run code.

    Examples:
        >>> import mmlgd
        >>> student = mmlgd.Student('epoch_200.pth')  # doctest: +SKIP
        >>> student.embed('photos/').shape  # doctest: +SKIP
        torch.Size([12, 1024])
        >>> student.scores('photos/cat.jpg', ['cat', 'dog'])  # doctest: +SKIP
        tensor([[0.9, 0.1]])
    """

    def __init__(
        self,
        checkpoint: Union[str, Path, SavedStudent],
        *,
        out_indices: Optional[tuple[int, ...]] = None,
        device: Union[str, torch.device, None] = None,
        teacher: Optional[dict] = None,
    ):
        device = usable_device(device)  # before the weights are read
        saved = checkpoint if isinstance(checkpoint, SavedStudent) else SavedStudent.read(checkpoint)
        text = saved.text() or {}
        super().__init__(data_preprocessor=saved.preprocessor())
        self.source, self.config = saved.source, saved.config
        self.backbone = saved.build('backbone', **({} if out_indices is None else dict(out_indices=out_indices)))
        is_alike = out_indices is None or saved.ends_alike(self.backbone, self.image_size)
        self._other_stages = None if is_alike else out_indices
        self.head = saved.head() if is_alike else None
        self.head_classes = saved.classes if self.head is not None else None
        bank = text.get('bank')
        self.neck = None
        if bank is not None:
            self.neck = saved.build('neck', self.backbone, out_channels=bank.shape[1])
        elif saved.has('neck') and _is_ours(self.config['model'].get('neck')):  # as in the published code
            self.neck = saved.build('neck', self.backbone)
        self.place_path = _place_path(saved, self.backbone, out_indices)
        self.register_buffer('bank', bank)
        self.names, self.templates = text.get('class_names'), text.get('templates')
        self.teacher_id = text.get('teacher_id')
        self.temperature = saved.temperature()
        self._teacher = teacher
        self.eval()
        self.to(device)

    @property
    def class_names(self) -> Optional[list[str]]:
        """List[str] | None: The names, under the attribute name of :class:`~mmlgd.LGD`."""
        return self.names

    @cached_property
    def image_size(self) -> tuple[int, int]:
        """Tuple[int, int]: Height and width of its images, from its training."""
        return image_size(self.config)

    @cached_property
    def pipeline(self) -> list[dict]:
        """List[dict]: Transforms that read and prepare images."""
        return reading_pipeline(self.config)

    def with_names(
        self,
        names: Union[str, Path, list, dict, None] = None,
        templates: Union[str, list, None] = None,
        teacher: Optional[dict] = None,
        device: Union[str, torch.device, None] = None,
    ) -> 'Student':
        """Make a student with other names, embedded by its teacher.

        Args:
            names (str | Path | list | dict, optional): See :func:`~mmlgd.text.load_vocabulary`. Defaults to None: the
                names of training.
            templates (str | list, optional): Prompt templates. Defaults to None: the templates of training.
            teacher (dict, optional): Config of the teacher, as above. Defaults to None: the one given there.
            device (str | torch.device, optional): Where the teacher embeds them. Defaults to None: where the student
                is.

        Returns:
            Student: A copy with these names. With its own names and templates it is this student. No teacher is needed
            for its own names or some of them.

        Raises:
            CheckpointError: It has no textual bank, or its teacher must be named.
            VocabularyError: The vocabulary is empty, or holds a duplicate, empty or non-string name.
            ConfigError: The teacher is not the one that it was distilled from.
        """
        self._require_names()
        if names is None and templates is None:
            return self
        prompts = (
            load_vocabulary(self.names if names is None else names),
            load_templates(self.templates if templates is None else templates),
        )
        if prompts == (self.names, self.templates):
            return self
        names, templates = prompts
        other = copy.deepcopy(self)
        other._teacher = teacher or self._teacher
        other.names, other.templates = names, templates
        if templates == self.templates and set(names) <= set(self.names):  # a row depends on its own name alone
            row_of = {name: row for row, name in enumerate(self.names)}
            other.bank = self.bank[[row_of[name] for name in names]]
            return other
        with plain_files(), seeded(0):
            live = build_live_teacher(self.config, self.teacher_id, other._teacher, self.source)
            text = TextualSemanticsBank(live, names, templates, device=device or self.bank.device)
            other.bank = text.bank.to(self.bank.device)
        return other

    @torch.no_grad()
    def features(self, images: Any) -> tuple[Tensor, ...]:
        """Compute the backbone's features.

        Args:
            images (Any): N images, as above.

        Returns:
            Tuple[Tensor]: Of each stage of ``out_indices``, (N, C, h, w).

        Raises:
            ConfigError: The pipeline keeps images at several sizes, and so do the features.
        """
        levels = zip(*(self.backbone(batch) for batch in self._batches(images)))
        return tuple(self._joined(level) for level in levels)

    @torch.no_grad()
    def embed(self, images: Any) -> Tensor:
        """Embed images in the joint space of its teacher.

        Args:
            images (Any): N images, as above.

        Returns:
            Tensor: (N, D) float32, unit rows.

        Raises:
            CheckpointError: The checkpoint has a backbone alone.
        """
        return torch.cat([self._embed(batch) for batch in self._batches(images)])

    def scores(self, images: Any, names: Union[str, Path, list, dict, None] = None) -> Tensor:
        """Score images against names.

        Args:
            images (Any): N images, as above.
            names (str | Path | list | dict, optional): K names. Defaults to None, its own. For many calls with the same
                names ask :meth:`with_names` once: the teacher is loaded each time.

        Returns:
            Tensor: (N, K) float32, rows that sum to 1.

        Raises:
            CheckpointError: It has no textual bank, or its teacher must be named.
        """
        student = self.with_names(names)
        return zero_shot_scores(student.embed(images), student.bank, student.temperature)

    @torch.no_grad()
    def places(self, images: Any) -> Tensor:
        """Embed each place of images in the joint space: the neck at each position of the feature map.

        Args:
            images (Any): N images, as above.

        Returns:
            Tensor: (N, h, w, D) float32, unit rows, row by row from the top left.

        Raises:
            CheckpointError: The checkpoint has a backbone alone.
            ConfigError: The backbone gives pooled features, which have no places; or as for :meth:`features`.
        """
        return self._joined([self._places(batch) for batch in self._batches(images)])

    def segment(
        self, images: Any, names: Union[str, Path, list, dict, None] = None, *, scores: bool = False, **options
    ) -> list[Segmentation]:
        """Find the best name for each pixel of images, at their own sizes.

        Args:
            images (Any): N images, as above; here they are not cropped, and may have several sizes.
            names (str | Path | list | dict, optional): K names, at most 255; ``'sky|clouds'`` is one name with two
                phrasings. Defaults to None, its own.
            scores (bool): Keep the scores of all names. Defaults to False.
            **options: ``size``, ``window``, ``stride`` and ``background``, see :meth:`segmenter`.

        Returns:
            List[Segmentation]: One for each image, at its size: ``labels``, ``score``, ``names``, ``scores``.

        Raises:
            CheckpointError: It has no textual bank, or its teacher must be named.
            ConfigError: A number is out of its range.
        """
        segmenter = self.segmenter(names, **options)
        images = self._prepared(images) if isinstance(images, Tensor) else find_images(images)
        arrays = (image if isinstance(image, Tensor) else image.read() for image in images)
        return [segmenter.segment(array, scores) for array in arrays]

    def segmenter(self, names: Union[str, Path, list, dict, None] = None, **options) -> Segmenter:
        """Prepare for segmentation with the same names and options many times.

        Args:
            names (str | Path | list | dict, optional): K names. Defaults to None, its own.
            **options: ``size``, the short side of a resized image in pixels, by default its own; ``window`` and
                ``stride`` of sliding windows in pixels, see :class:`~mmlgd.student.windows.Windows`; ``background``,
                the threshold below which a pixel gets label 255.

        Returns:
            Segmenter: Its ``segment`` takes one image. A student that was trained on whole images gives a warning.
        """
        if not loss_of(self.config, self.source).needs_places:
            warnings.warn(
                f'{shown(self.source)} was trained on whole images, so the names of its pixels mean little. '
                f'`mmlgd pretrain --dense` trains its places, too.',
                stacklevel=2,
            )
        named = self.with_names(names)
        named._require_names()
        return Segmenter(
            self.tower, named.bank.float(), named.names, named.temperature, named.data_preprocessor, **options
        )

    @cached_property
    def tower(self) -> Tower:
        """Tower: How large its places are."""
        return find_tower(self._places, self.image_size, next(self.backbone.parameters()))

    def forward(self, inputs: Tensor, data_samples: Optional[list[DataSample]] = None, mode: str = 'tensor'):
        """Score normalised images, as a model of mmengine.

        Args:
            inputs (Tensor): (N, 3, H, W), preprocessed.
            data_samples (List[DataSample], optional): N samples to fill in mode ``'predict'``. Defaults to new ones.
            mode (str): ``'tensor'`` for the scores alone, ``'predict'`` for samples. Defaults to ``'tensor'``.

        Returns:
            Tensor | List[DataSample]: (N, K) scores whose rows sum to 1, or samples with ``pred_score`` and
            ``pred_label``.

        Raises:
            ValueError: ``mode`` is neither; there is nothing to train here.
        """
        self._require_names()
        scores = zero_shot_scores(self._embed(self._prepared(inputs)), self.bank, self.temperature)
        if mode == 'tensor':
            return scores
        if mode != 'predict':
            raise ValueError(f"Expected mode 'tensor' or 'predict', got {mode!r}; training is mmlgd.LGD's.")
        data_samples = data_samples or [DataSample() for _ in inputs]
        set_scores(data_samples, scores)
        return data_samples

    def require_embeddings(self) -> None:
        """Refuse a student without embeddings.

        Raises:
            CheckpointError: The checkpoint has a backbone alone.
            ConfigError: ``out_indices`` end with another stage than in training.
        """
        if self.neck is None:
            raise CheckpointError(
                f'{self.source} has no neck, and so no place in the joint space: it is a backbone alone. Give the '
                f'checkpoint of LGD training, or its published file.'
            )
        if self._other_stages is not None:
            raise ConfigError(
                f'{self.source} was loaded with out_indices={self._other_stages}, which do not end with the '
                f'stage that its neck was trained on: it has no embeddings. Load it once more without out_indices.'
            )

    def _embed(self, inputs: Tensor) -> Tensor:
        self.require_embeddings()
        return self.neck(self.backbone(inputs)).float()

    def _places(self, inputs: Tensor) -> Tensor:
        self.require_embeddings()
        if not hasattr(self.neck, 'project'):
            raise ConfigError(
                f'{self.source} has a {type(self.neck).__name__} as its neck, which embeds whole images alone: it has '
                f'no places. Train with a mmlgd.ProjectionNeck.'
            )
        if self.place_path is None:
            raise ConfigError(
                f'{self.source} was loaded with other out_indices than those of training, whose stages its places '
                f'join: it has no places. Load it once more without out_indices.'
            )
        inputs = inputs.to(next(self.backbone.parameters()))
        return self.place_path(self.backbone(inputs), self.backbone, self.neck, tuple(inputs.shape[-2:])).float()

    def _joined(self, maps: Sequence[Tensor]) -> Tensor:
        if len(shapes := {tuple(batch.shape[1:]) for batch in maps}) > 1:
            raise ConfigError(
                f'The pipeline of {self.source} does not resize images to one size: their feature maps have shapes '
                f'{sorted(shapes)[:3]}, which one tensor cannot hold. Give images of one size, or one at a time.'
            )
        return torch.cat(list(maps))

    def _batches(self, images: Any) -> Iterator[Tensor]:
        if isinstance(images, Tensor):
            yield self._prepared(images)
            return
        for batch in batches(find_images(images), preparation(self.pipeline)):
            yield self.data_preprocessor(batch, False)['inputs'].to(next(self.backbone.parameters()))

    def _prepared(self, images: Tensor) -> Tensor:
        is_batch = images.ndim == 4 and images.shape[1] == 3 and images.numel() and images.is_floating_point()
        if not is_batch:
            raise ConfigError(
                f'A tensor of images is (N, 3, height, width), of normalised floats, with N > 0; got shape '
                f'{tuple(images.shape)} of {images.dtype}. Give pixels as arrays (height, width, 3), or normalise them.'
            )
        images = images.to(next(self.backbone.parameters()))
        require_finite(images)  # a large value may be infinite in the precision of the weights
        return images

    def _require_names(self) -> None:
        if self.bank is None:
            raise CheckpointError(
                f'{self.source} has no textual bank, so it cannot name what it sees: it is a backbone alone. Give the '
                f'checkpoint of LGD training, or its published file.'
            )


def _place_path(
    saved: SavedStudent, backbone: torch.nn.Module, out_indices: Optional[tuple[int, ...]]
) -> Optional[StudentPlaces]:
    """Build the path to the places; None for one over stages of training, if the backbone returns others."""
    if not saved.has('places'):
        return StudentPlaces()
    trained = backbone_of(saved.config, saved.source).get('out_indices')
    is_own = out_indices is None or (isinstance(trained, (list, tuple)) and tuple(trained) == tuple(out_indices))
    return saved.build('places', backbone) if is_own else None


def _is_ours(neck: Any) -> bool:
    return isinstance(neck, dict) and kind_of({'type': 'ProjectionNeck', **neck}) == 'ProjectionNeck'
