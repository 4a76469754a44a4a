"""``mmlgd``, or ``python -m mmlgd.cli``."""

import warnings
from difflib import get_close_matches
from importlib import import_module
from typing import Optional

import click

# For each verb, the module of its command and the first line of its help, so that listing verbs needs no import.
VERBS = {
    'names': ('mmlgd.cli.names', 'Show how a teacher understands class names.'),
    'teacher': ('mmlgd.cli.teacher', 'Show what a teacher answers for your images, before a training.'),
    'pretrain': ('mmlgd.cli.pretrain', 'Distil a CLIP-style teacher into a small backbone.'),
    'detect': ('mmlgd.cli.downstream', 'Train a detector on a student, from a folder of images and boxes.'),
    'segment': ('mmlgd.cli.downstream', 'Train a segmentor on a student, from a folder of images and masks.'),
    'train': ('mmlgd.cli.train', 'Train any mmpretrain, mmdet, mmseg or mmlgd config.'),
    'test': ('mmlgd.cli.test', 'Evaluate a checkpoint on the test set of a config.'),
    'store': ('mmlgd.cli.store', 'Run the teacher once over all images, and store its embeddings.'),
    'evaluate': ('mmlgd.cli.evaluate', 'Compare students on labelled images.'),
    'predict': ('mmlgd.cli.predict', 'Classify images.'),
    'show': ('mmlgd.cli.show', 'Draw figures: a map, the banks, nearest names.'),
    'prove': ('mmlgd.cli.prove', 'Did pre-training help, with few and with all labels?'),
    'compare': ('mmlgd.cli.compare', 'Train one downstream config from several starts, over seeds.'),
    'study': ('mmlgd.cli.study', 'Train variants of a recipe over seeds, and evaluate each.'),
    'report': ('mmlgd.cli.report', 'Write a report on runs into one HTML file.'),
    'export': ('mmlgd.cli.export', 'Export a student to ONNX or to another library.'),
    'publish': ('mmlgd.cli.publish', 'Publish a checkpoint without the parts that only training needs.'),
    'convert': ('mmlgd.cli.convert', 'Convert a checkpoint of the published LGD or SEED code into ours.'),
    'replay': ('mmlgd.cli.replay', 'Run a training step again that stopped for a NaN or Inf.'),
    'doctor': ('mmlgd.cli.doctor', 'Check the environment and say what to do.'),
}


class Verbs(click.Group):
    """The verbs; each is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the verbs in the order of their typical use."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> Optional[click.Command]:
        """Import a verb."""
        return getattr(import_module(VERBS[name][0]), name) if name in VERBS else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple:
        """Find the verb of a command line; a misspelt one is answered with the nearest."""
        if args and args[0] not in VERBS and (close := get_close_matches(args[0], VERBS, n=1)):
            ctx.fail(f'No such command {args[0]!r}. Did you mean {close[0]!r}?')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Describe each verb without an import."""
        with formatter.section('Commands'):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])


@click.command('mmlgd', cls=Verbs, context_settings=dict(help_option_names=['-h', '--help'], max_content_width=100))
@click.version_option(package_name='mmlgd')
def main() -> None:
    """Pre-train small vision backbones with language, for OpenMMLab.

    \b
    Start here:
      mmlgd doctor                                   is everything there?
      mmlgd pretrain --images DIR --names FILE       a student from your images and class names

    \b
    An option with ... in its help takes all values that follow it, so arguments come before options:
      mmlgd predict CHECKPOINT IMAGES --names cat dog
    @FILE is replaced by the words in FILE, wherever it stands; # starts a comment there.

    All verbs except doctor are Python functions, too: mmlgd.train is `mmlgd train`, mmlgd.store_teacher is `mmlgd
    store`, mmlgd.report_names is `mmlgd names`, mmlgd.draw_map is `mmlgd show map`. Configs are ordinary OpenMMLab
    configs: `mim train mmlgd CONFIG` trains them as well.

    \b
    Completion by <TAB>, in bash (zsh_source and fish_source for the others):
      eval "$(_MMLGD_COMPLETE=bash_source mmlgd)"
    """  # noqa: D301  click takes the \b for "leave these lines as they are"


# Of the stack about itself, before the first line of each run.
warnings.filterwarnings('ignore', 'pkg_resources is deprecated', UserWarning)
warnings.filterwarnings('ignore', 'DeprecationWarning: `num_anchors` is deprecated', UserWarning)
warnings.filterwarnings('ignore', '``build_loss`` would be deprecated', UserWarning)
# Of mmengine's drawing, about a box that reaches over the border of its image.
warnings.filterwarnings('ignore', 'Warning: The (bbox|polygon) is out of bounds', UserWarning)
# Our configs pin memory for machines with a GPU.
warnings.filterwarnings('ignore', "'pin_memory' argument is set as true but no accelerator", UserWarning)

if __name__ == '__main__':
    main(prog_name='mmlgd')
