"""A check that the labels of a data set have the names of the vocabulary, in number and order."""

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmlgd.datasets import Images
from mmlgd.datasets.unwrapping import plain_datasets
from mmlgd.errors import ConfigError, shown
from mmlgd.registry import HOOKS
from mmlgd.text import in_order, misplaced
from mmlgd.utils.models import plain_model


@HOOKS.register_module()
class VocabularyCheckHook(Hook):
    """Refuse an evaluation set whose classes differ in number or order from the bank's names, before the first step.

    Row k of the textual bank is label k of the evaluation set. A bank with other names, or with the same in another
    order, would give a low accuracy without an error.
    """

    def before_run(self, runner: Runner) -> None:
        """Compare each evaluation set that has class names with the bank.

        Args:
            runner (Runner): The runner, after its loops are built.

        Raises:
            ConfigError: They differ; the message gives both and says how to fix it.
        """
        names = plain_model(runner).class_names
        for loop in (runner._val_loop, runner._test_loop):
            for dataset in plain_datasets(getattr(getattr(loop, 'dataloader', None), 'dataset', None)):
                classes = (dataset.metainfo or {}).get('classes')
                if classes is None:
                    continue
                where = f'The evaluation set {getattr(dataset, "data_root", "")!r}'
                if len(classes) != len(names):
                    raise ConfigError(
                        f'{where} has {len(classes)} classes, but the vocabulary has {len(names)} names. Give the '
                        f'names of its classes in label order as model.text.vocabulary, or switch evaluation off: '
                        f'val_cfg=None val_dataloader=None val_evaluator=None.'
                    )
                _require_order(classes, names, where)
                require_folders_in_order(dataset, names, where)


def require_folders_in_order(dataset: Any, names: Sequence[str], where: str) -> None:
    """Refuse class folders whose labels have the names of others.

    mmpretrain's sets label class folders in the order of their letters, whatever ``classes`` they are given.

    Args:
        dataset (Any): A built data set. One without class folders passes.
        names (Sequence[str]): The names, by label.
        where (str): The data set, for the error.

    Raises:
        ConfigError: A folder is called like the name of another label; or folders are numbered, and labelled in the
            order of their letters.
    """
    folders = [*(getattr(dataset, 'folder_to_idx', None) or ())]
    if len(folders) != len(names):
        return
    _require_order(folders, names, where)
    counted = in_order(folders)
    if folders == sorted(folders) != counted and folders != [*names] and not isinstance(dataset, Images):
        first, second = next(pair for pair in zip(folders, counted) if pair[0] != pair[1])
        raise ConfigError(
            f'{where} has numbered class folders, and its labels have {shown(first)} before {shown(second)}, so it is '
            f"not known which of them a name is for. Give it type='mmlgd.Images', which counts, or write all numbers "
            f'with as many digits, such as 02.'
        )


def _require_order(labels: Sequence[str], names: Sequence[str], where: str) -> None:
    if (k := misplaced(labels, names)) is not None:
        raise ConfigError(
            f'{where} has {shown(labels[k])!r} as its label {k}, but the vocabulary has {shown(names[k])!r} there: its '
            f'names are in another order. Give them in label order, which is that of the sorted class folders; `mmlgd '
            f'evaluate` takes them in any order.'
        )
