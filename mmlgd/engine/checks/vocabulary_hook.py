"""A check that a labelled evaluation set and the bank have the same number of classes."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmlgd.errors import ConfigError
from mmlgd.registry import HOOKS
from mmlgd.utils.models import plain_model


@HOOKS.register_module()
class VocabularyCheckHook(Hook):
    """Refuse an evaluation set whose number of classes differs from the bank's number of names, before the first step.

    Row k of the textual bank is label k of the evaluation set. A bank with other names would give a low accuracy
    without an error.
    """

    def before_run(self, runner: Runner) -> None:
        """Compare each evaluation set that has class names with the bank.

        Args:
            runner (Runner): The runner, after its loops are built.

        Raises:
            ValueError: The numbers differ; the message gives both and says how to fix it.
        """
        model = plain_model(runner)
        for loop in (runner._val_loop, runner._test_loop):
            dataset = getattr(getattr(loop, 'dataloader', None), 'dataset', None)
            classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
            if classes is not None and len(classes) != len(model.class_names):
                raise ConfigError(
                    f'The evaluation set {getattr(dataset, "data_root", "")!r} has {len(classes)} classes, but the '
                    f'vocabulary has {len(model.class_names)} names. Give the names of its classes in label order as '
                    f'model.text.vocabulary, or switch evaluation off: val_cfg=None val_dataloader=None '
                    f'val_evaluator=None.'
                )
