"""A student at work: pictures in, class names out."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Optional, Union
from urllib.parse import urlparse

import matplotlib
import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import default_collate
from mmengine.device import get_device
from mmpretrain.apis import ImageClassificationInferencer
from mmpretrain.structures import DataSample
from mmpretrain.visualization import UniversalVisualizer

from mmlgd.checkpoints.file_handlers import plain_files
from mmlgd.datasets.folder import images_in
from mmlgd.datasets.loading import decode, read_bytes
from mmlgd.errors import ConfigError, MissingFileError, shown
from mmlgd.utils.paths import IMAGE_SUFFIXES

from .image_size import evaluation_pipeline, is_loading
from .zero_shot import get_zero_shot_classifier


@dataclass
class Picture:
    """One picture: a file, a URL or an array, and its path below the folder that was given, for its drawing."""

    source: Union[str, np.ndarray]
    name: Union[str, Path] = ''

    def __str__(self):
        return shown(self.source) if isinstance(self.source, str) else f'an array {self.source.shape}'

    def read(self) -> np.ndarray:
        """Read it as (H, W, 3), BGR; the errors of all decoders and networks become one that names the picture."""
        if not isinstance(self.source, str):
            return self.source
        try:
            return decode(read_bytes(self.source))
        except Exception as error:
            raise ConfigError(f'{self} cannot be read: {" ".join(str(error).split())}.') from error


class ZeroShotInferencer(ImageClassificationInferencer):
    """Name what is in pictures, with a student and any class names.

    Images are prepared as the evaluation of the training did (``test_dataloader`` in its config), or, if it had none,
    brought to the size that the student was trained at: the short side to 8/7 of it, then the middle.

    Args:
        checkpoint (str | Path): Of LGD training or of ``publish_model.py``; a file or URL.
        vocabulary (str | list | dict, optional): Class names, see :func:`~mmlgd.text.load_vocabulary`. Defaults to
            None, those of training, for which no teacher is needed.
        templates (str | list, optional): Prompt templates. Defaults to None, those of training.
        teacher (dict, optional): Config of the teacher, whose text tower embeds new names, or changes to that of
            training: see :func:`~mmlgd.get_zero_shot_classifier`. Defaults to None, that of training.
        device (str | torch.device, optional): Where to compute. Defaults to None: the accelerator if there is one.

    Attributes:
        classes (List[str]): The K class names.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        CheckpointError: It is cut off, has no student or no bank, or does not fit.
        VocabularyError: The vocabulary is empty, or holds a duplicate, empty or non-string name.
        ValueError: The teacher is not the one that the student was distilled from.

    Examples:
        >>> import mmlgd
        >>> inferencer = mmlgd.ZeroShotInferencer('epoch_200.pth', ['cat', 'dog', 'tree'])  # doctest: +SKIP
        >>> inferencer('animals/cat.jpg')[0]['pred_class']  # doctest: +SKIP
        'cat'
    """

    preprocess_kwargs = {'on_error'}
    postprocess_kwargs = {'topk'}

    def __init__(
        self,
        checkpoint: Union[str, Path],
        vocabulary: Union[str, list, dict, None] = None,
        templates: Union[str, list, None] = None,
        teacher: Optional[dict] = None,
        device: Union[str, torch.device, None] = None,
    ):
        model = get_zero_shot_classifier(checkpoint, vocabulary, templates, teacher)
        model._config = model.config  # where mmpretrain's inferencers look for the pipeline
        super().__init__(model, device=device or get_device(), classes=model.class_names)

    def __call__(
        self,
        inputs: Union[str, Path, np.ndarray, list],
        return_datasamples: bool = False,
        batch_size: int = 32,
        topk: int = 5,
        on_error: str = 'skip',
        **drawing,
    ) -> list:
        """Classify pictures.

        Args:
            inputs (str | Path | ndarray | list): A file, a URL, a folder (searched with its sub-folders), an array
                (H, W, 3) in BGR order as OpenCV and mmpretrain read it, or a list of these.
            return_datasamples (bool): Return mmpretrain's ``DataSample`` instead of dicts. Defaults to False.
            batch_size (int): Pictures a step. Defaults to 32.
            topk (int): How many named scores to give for a picture. Defaults to 5.
            on_error (str): ``'skip'`` leaves a picture that cannot be read out, with a warning that names it;
                ``'raise'`` reads all pictures once beforehand and stops at the first such, before any prediction.
                Defaults to ``'skip'``.
            **drawing: mmpretrain's ``show_dir`` (folder for the drawn pictures; sub-folders are kept), ``resize``,
                ``rescale_factor``, ``draw_score``, ``show`` and ``wait_time``.

        Returns:
            list: For each picture that could be read, in order, a dict with ``index`` (which of the inputs),
            ``img_path`` (None for an array), ``pred_scores`` (K,), ``pred_label``, ``pred_score``, ``pred_class`` and
            ``topk``, a list of (name, score).

        Raises:
            FileNotFoundError: A path is missing. Paths and arrays are checked before the first prediction.
            ValueError: A folder without pictures, an array of another shape, no picture that can be read, or an
                unknown argument.
        """
        if on_error not in ('skip', 'raise'):
            raise ConfigError(f"Expected on_error 'skip' or 'raise', got {on_error!r}.")
        inputs = self._inputs_to_list(inputs)
        if on_error == 'raise':
            for picture in inputs:
                picture.read()
        if drawing.get('show_dir') is not None:
            Path(drawing['show_dir']).mkdir(parents=True, exist_ok=True)
        results = super().__call__(inputs, return_datasamples, batch_size, topk=topk, on_error=on_error, **drawing)
        if not results:
            raise ConfigError(
                f'None of {len(inputs)} pictures can be read; the first is {inputs[0]}. The warnings say why.'
            )
        return results

    def _init_pipeline(self, cfg: ConfigDict):
        pipeline = [step for step in evaluation_pipeline(cfg) if not is_loading(step)]  # they are read one by one
        with plain_files():
            return super()._init_pipeline(ConfigDict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))

    def _inputs_to_list(self, inputs: Union[str, Path, np.ndarray, list]) -> list[Picture]:
        inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        found = [picture for one in inputs for picture in _pictures_of(one)]
        if not found:
            raise ConfigError('Expected at least one picture, got an empty list.')
        return found

    def preprocess(self, inputs: list[Picture], batch_size: int, on_error: str) -> Iterator[dict]:
        """Read and prepare pictures, batch by batch.

        Args:
            inputs (List[Picture]): Of :meth:`_inputs_to_list`.
            batch_size (int): Pictures a batch, at most.
            on_error (str): As in :meth:`__call__`.

        Yields:
            dict: ``inputs`` and ``data_samples``, pictures of one size.
        """
        for samples in self._get_chunk_data(self._prepared(inputs, on_error), batch_size):
            # A pipeline that does not resize leaves several sizes, which do not stack.
            for _, group in groupby(samples, key=lambda sample: sample['inputs'].shape):
                yield default_collate(list(group))

    def _prepared(self, inputs: list[Picture], on_error: str) -> Iterator[dict]:
        for index, picture in enumerate(inputs):
            try:
                image = picture.read()
            except ValueError as error:
                if on_error == 'raise':
                    raise
                warnings.warn(f'{error} It is left out.', stacklevel=2)
                continue
            size = image.shape[:2]
            sample = self.pipeline(dict(img=image, img_shape=size, ori_shape=size))
            path = picture.source if isinstance(picture.source, str) else None
            sample['data_samples'].set_metainfo(dict(index=index, img_path=path))
            yield sample

    def visualize(
        self,
        inputs: list[Picture],
        preds: list[DataSample],
        show: bool = False,
        show_dir: Union[str, Path, None] = None,
        **drawing,
    ) -> None:
        """Draw the best name and its score into pictures, one at a time.

        Args:
            inputs (List[Picture]): Of :meth:`_inputs_to_list`.
            preds (List[DataSample]): Their predictions.
            show (bool): Show them in a window. Defaults to False.
            show_dir (str | Path, optional): Write them into this folder, as ``NAME.png``. Defaults to None.
            **drawing: Passed to mmpretrain's visualizer.
        """
        if not show and show_dir is None:
            return
        self.visualizer = self.visualizer or UniversalVisualizer()
        targets = [None] * len(inputs) if show_dir is None else _targets(inputs, show_dir)
        for pred in preds:
            picture, target = inputs[pred.index], targets[pred.index]
            try:
                image = np.ascontiguousarray(picture.read()[..., ::-1])  # to RGB
            except ValueError as error:  # a URL that answered before
                warnings.warn(f'{error} It is not drawn.', stacklevel=2)
                continue
            drawing.update(name=str(picture), out_file=None if target is None else str(target))
            with matplotlib.rc_context({'text.parse_math': False}):  # a $ in a name is a $
                self.visualizer.visualize_cls(image, pred, classes=self.classes, draw_gt=False, show=show, **drawing)
        if show:
            self.visualizer.close()

    def postprocess(
        self, preds: list[DataSample], visualization: None, return_datasamples: bool = False, topk: int = 5
    ) -> list:
        """Turn predictions into dicts.

        Args:
            preds (List[DataSample]): Predictions.
            visualization (None): Not used: drawn pictures are not kept.
            return_datasamples (bool): Return them as they are. Defaults to False.
            topk (int): How many named scores. Defaults to 5.

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


def _pictures_of(source: Union[str, Path, np.ndarray, Picture]) -> list[Picture]:
    """Find the pictures behind one input, and check what can be checked without reading them."""
    if isinstance(source, Picture):
        return [source]
    if isinstance(source, np.ndarray):
        if source.ndim != 3 or source.shape[2] != 3:
            raise ConfigError(
                f'Expected an array (height, width, 3) in BGR order, got shape {source.shape}. Give several pictures '
                f'as a list of arrays.'
            )
        return [Picture(source)]
    if not isinstance(source, (str, Path)):
        raise TypeError(f'A picture is a path, a URL, a folder or an array, got a {type(source).__name__}.')
    if '://' in str(source):
        name = PurePosixPath(urlparse(str(source)).path).name
        return [Picture(str(source), '' if name == '..' or '\\' in name else name)]
    path = Path(source).expanduser()
    if path.is_dir():
        files = sorted(map(Path, images_in(path, IMAGE_SUFFIXES)))
        if not files:
            endings = ' '.join(IMAGE_SUFFIXES)
            raise ConfigError(f'There are no pictures ({endings}) in {str(path)!r} and its sub-folders.')
        return [Picture(str(path / file), file) for file in files]
    if not path.is_file():
        raise MissingFileError(f'There is no picture and no folder at {str(path)!r} (a pipe or a device is none).')
    return [Picture(str(path), path.name)]


def _targets(inputs: list[Picture], show_dir: Union[str, Path]) -> list[Path]:
    """Say where each drawn picture goes: one file each, and never onto a picture that is read."""
    targets, taken = [], {Path(one.source).resolve() for one in inputs if isinstance(one.source, str)}
    for index, one in enumerate(inputs):
        target = Path(show_dir, one.name or str(index)).with_suffix('.png')
        if target.resolve() in taken:  # a.jpg beside a.png, or show_dir is the folder itself
            target = target.with_name(f'{target.stem}_{index}.png')
        taken.add(target.resolve())
        targets.append(target)
    return targets
