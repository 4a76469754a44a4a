"""Zero-shot inference with a student: images in, class names out."""

import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Callable, Optional, Union

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmpretrain.apis import ImageClassificationInferencer
from mmpretrain.structures import DataSample

from mmlgd.errors import ConfigError, sentence
from mmlgd.utils.bar import shown_in_bar
from mmlgd.utils.devices import usable_device
from mmlgd.utils.files import require_writable, write_by

from .images import ImageSource, batches, find_images, output_files, preparation
from .overlays import captioned
from .student import Student
from .zero_shot import get_zero_shot_classifier


class ZeroShotInferencer(ImageClassificationInferencer):
    """Classify images with a student and any class names.

    Images are prepared as in the evaluation of its training (``test_dataloader`` in its config). If there was none,
    they get the training size: the short side is resized to 8/7 of it, then the centre is cropped.

    Args:
        checkpoint (str | Path | Student): A checkpoint of LGD training or of ``mmlgd publish``, as a file or URL; or a
            student, which is copied.
        vocabulary (str | Path | list | dict, optional): Class names, see :func:`~mmlgd.text.load_vocabulary`. Defaults
            to None: the names of training, which need no teacher.
        templates (str | list, optional): Prompt templates. Defaults to None: the templates of training.
        teacher (dict, optional): Config of the teacher whose text tower embeds new names, or changes to the config of
            training: see :func:`~mmlgd.get_zero_shot_classifier`. Defaults to None: the teacher of training.
        device (str | torch.device, optional): Where to compute. Defaults to None: the accelerator if there is one.

    Attributes:
        classes (List[str]): The K class names.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        CheckpointError: It is truncated, has no student or no bank, or does not fit.
        ConfigError: torch cannot use the device here.
        VocabularyError: The vocabulary is empty, or holds a duplicate, empty or non-string name.
        ValueError: The student was distilled from another teacher.

    Examples:
        >>> import mmlgd
        >>> inferencer = mmlgd.ZeroShotInferencer('epoch_200.pth', ['cat', 'dog', 'tree'])  # doctest: +SKIP
        >>> inferencer('animals/cat.jpg')[0]['pred_class']  # doctest: +SKIP
        'cat'
    """

    def __init__(
        self,
        checkpoint: Union[str, Path, Student],
        vocabulary: Union[str, Path, list, dict, None] = None,
        templates: Union[str, list, None] = None,
        teacher: Optional[dict] = None,
        device: Union[str, torch.device, None] = None,
    ):
        device = usable_device(device)  # before the weights are read
        model = get_zero_shot_classifier(checkpoint, vocabulary, templates, teacher, device)
        model._config = model.config  # where mmpretrain's inferencers look for it
        super().__init__(model, device=device, classes=model.class_names)

    def __call__(
        self,
        inputs: Union[str, Path, np.ndarray, list],
        return_datasamples: bool = False,
        batch_size: int = 32,
        topk: int = 5,
        on_error: str = 'skip',
        show_dir: Union[str, Path, None] = None,
    ) -> list:
        """Classify images.

        Args:
            inputs (str | Path | ndarray | list): A file, a URL, a folder (searched with its sub-folders), an array
                (H, W, 3) in BGR order as OpenCV and mmpretrain read it, or a list of these.
            return_datasamples (bool): Return mmpretrain's ``DataSample`` instead of dicts. Defaults to False.
            batch_size (int): Images per batch. Defaults to 32.
            topk (int): Number of names with scores per image. Defaults to 5.
            on_error (str): ``'skip'`` skips unreadable images with a warning that names them; ``'raise'`` reads all
                images once beforehand and stops at the first unreadable one, before any prediction. Defaults to
                ``'skip'``.
            show_dir (str | Path, optional): Folder for copies of the images below their best name; sub-folders are
                kept. Defaults to None.

        Returns:
            list: For each image that could be read, in order, a dict with ``index`` (which of the inputs),
            ``img_path`` (None for an array), ``pred_scores`` (K,), ``pred_label``, ``pred_score``, ``pred_class`` and
            ``topk``, a list of (name, score).

        Raises:
            FileNotFoundError: A path is missing. Paths and arrays are checked before the first prediction.
            ValueError: A folder has no images, an array has another shape, or no image can be read.
            WriteError: ``show_dir`` is not writable, or its disk is full.
        """
        if on_error not in ('skip', 'raise'):
            raise ConfigError(f"Expected on_error 'skip' or 'raise', got {on_error!r}.")
        inputs = self._inputs_to_list(inputs)
        if on_error == 'raise':
            for one in inputs:
                one.read()
        if show_dir is not None:
            require_writable(show_dir)
            Path(show_dir).mkdir(parents=True, exist_ok=True)
        # The steps of mmpretrain's __call__, whose bar would be on standard output, among the results.
        found = self.preprocess(inputs, batch_size, on_error)
        preds = [pred for batch in found for pred in self.forward(batch)]
        self.visualize(inputs, preds, show_dir)
        results = self.postprocess(preds, None, return_datasamples, topk)
        if not results:
            raise ConfigError(
                f'None of {len(inputs)} images can be read; the first is {inputs[0]}. The warnings say why.'
            )
        return results

    def _init_pipeline(self, cfg: ConfigDict) -> Callable:
        return preparation(self.model.pipeline)

    def _inputs_to_list(self, inputs: Union[str, Path, np.ndarray, list]) -> list[ImageSource]:
        return find_images(inputs)

    def preprocess(self, inputs: list[ImageSource], batch_size: int, on_error: str) -> Iterator[dict]:
        """Read and prepare images, batch by batch: :func:`~mmlgd.student.images.batches`.

        Args:
            inputs (List[ImageSource]): From :func:`~mmlgd.student.images.find_images`.
            batch_size (int): Images per batch, at most.
            on_error (str): As in :meth:`__call__`.

        Returns:
            Iterator[dict]: ``inputs`` and ``data_samples``, images of one size.
        """
        return batches(shown_in_bar(inputs, 'Images'), self.pipeline, batch_size, skip=on_error == 'skip')

    def visualize(
        self, inputs: list[ImageSource], preds: list[DataSample], show_dir: Union[str, Path, None] = None
    ) -> None:
        """Write each image below its best name and the score.

        Args:
            inputs (List[ImageSource]): From :meth:`_inputs_to_list`.
            preds (List[DataSample]): Their predictions.
            show_dir (str | Path, optional): Write them into this folder, as ``NAME.png``. Defaults to None.
        """
        if show_dir is None:
            return
        targets = output_files(inputs, show_dir)
        for pred in preds:
            try:
                image = inputs[pred.index].read()
            except ValueError as error:  # a URL that no longer answers
                warnings.warn(f'{sentence(error)} It is not drawn.', stacklevel=2)
                continue
            best = int(pred.pred_label)
            targets[pred.index].parent.mkdir(parents=True, exist_ok=True)
            drawn = captioned(image, self.classes, best, float(pred.pred_score[best]))
            write_by(partial(drawn.save, format='PNG'), targets[pred.index])

    def postprocess(
        self, preds: list[DataSample], visualization: None, return_datasamples: bool = False, topk: int = 5
    ) -> list:
        """Turn predictions into dicts.

        Args:
            preds (List[DataSample]): Predictions.
            visualization (None): Not used: drawn images are not kept.
            return_datasamples (bool): Return them as they are. Defaults to False.
            topk (int): Number of names with scores. Defaults to 5.

        Returns:
            list: As :meth:`__call__` says.
        """
        results = super().postprocess(preds, visualization, return_datasamples)
        if return_datasamples:
            return results
        for pred, result in zip(preds, results):
            scores, labels = pred.pred_score.topk(min(topk, len(self.classes)))
            best = [(self.classes[label], score) for label, score in zip(labels.tolist(), scores.tolist())]
            result.update(index=pred.index, img_path=pred.img_path, topk=best)
        return results
