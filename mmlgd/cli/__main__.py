"""``mmlgd``, or ``python -m mmlgd.cli``."""

import click

from .doctor import doctor
from .pretrain import pretrain


@click.group('mmlgd', context_settings=dict(help_option_names=['-h', '--help'], max_content_width=100))
@click.version_option(package_name='mmlgd')
def main() -> None:
    """Pre-train small vision backbones with language, for OpenMMLab.

    \b
    Start here:
      mmlgd doctor                                   is everything there?
      mmlgd pretrain --images DIR --names FILE       a student from your pictures and class names

    Everything else is an ordinary OpenMMLab tool: `mim train mmlgd CONFIG`, or python tools/train.py CONFIG.

    \b
    Completion by <TAB>, in bash (zsh_source and fish_source for the others):
      eval "$(_MMLGD_COMPLETE=bash_source mmlgd)"
    """  # noqa: D301  click takes the \b for "leave these lines as they are"


main.add_command(doctor)
main.add_command(pretrain)

if __name__ == '__main__':
    main(prog_name='mmlgd')
