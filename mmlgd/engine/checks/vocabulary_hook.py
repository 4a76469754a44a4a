"""A check that a labelled evaluation set and the bank have the same number of classes."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

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
        model = plain_model(runner)
        for loop in (runner._val_loop, runner._test_loop):
            dataset = getattr(getattr(loop, 'dataloader', None), 'dataset', None)
            classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
            if classes is None:
                continue
            names, where = model.class_names, f'The evaluation set {getattr(dataset, "data_root", "")!r}'
            if len(classes) != len(names):
                raise ConfigError(
                    f'{where} has {len(classes)} classes, but the vocabulary has {len(names)} names. Give the names of '
                    f'its classes in label order as model.text.vocabulary, or switch evaluation off: val_cfg=None '
                    f'val_dataloader=None val_evaluator=None.'
                )
            if (k := misplaced(classes, names)) is not None:
                raise ConfigError(
                    f'{where} has {shown(classes[k])!r} as its label {k}, but the vocabulary has {shown(names[k])!r} '
                    f'there: its names are in another order. Give them in label order, which is that of the sorted '
                    f'class folders; `mmlgd evaluate` takes them in any order.'
                )
            counted = in_order(classes)
            if [*classes] == sorted(classes) != counted and [*classes] != [*names]:
                first, second = next(pair for pair in zip(classes, counted) if pair[0] != pair[1])
                raise ConfigError(
                    f'{where} has numbered class folders, and its labels have {shown(first)} before {shown(second)}, '
                    f'so it is not known which of them a name is for. Give it metainfo=dict(classes=[...]), the '
                    f'folders in the order of the names, or write all numbers with as many digits, such as 02.'
                )
