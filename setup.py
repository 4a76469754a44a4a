"""The ``.mim`` step of the build; metadata and dependencies are in setup.cfg.

mmengine (``get_config('mmlgd::...')``, ``_base_ = 'mmlgd::...'``) and ``mim`` look for configs, tools and the model
index in ``mmlgd/.mim``. A wheel gets copies there, an editable install gets links, so that edits show at once.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM = ('configs', 'tools', 'model-index.yml')
IGNORE = shutil.ignore_patterns('__pycache__', '*.py[cod]', '.*')


class BuildPyWithMim(build_py):
    """``build_py`` that fills ``mmlgd/.mim`` as well."""

    def run(self):
        super().run()
        if self.editable_mode:
            self._link()
            self._lead_to_source()
        else:
            self._copy()

    def get_outputs(self, include_bytecode=True):
        """Name the copies too, so that whoever installs from this list also removes them."""
        outputs = super().get_outputs(include_bytecode)
        if self.editable_mode:
            return outputs
        return outputs + [str(path) for path in self._mim_dir().rglob('*') if path.is_file()]

    def _mim_dir(self):
        return Path(self.build_lib, 'mmlgd', '.mim')

    def _copy(self):
        """Copy afresh: a config deleted since the last build must not linger in build/lib."""
        shutil.rmtree(self._mim_dir(), ignore_errors=True)
        self._mim_dir().mkdir(parents=True)
        for name in MIM:
            _copy(ROOT / name, self._mim_dir() / name)

    def _link(self):
        """Link from the source tree; where links are not allowed (Windows), copy."""
        folder = ROOT / 'mmlgd' / '.mim'
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in MIM:
            try:
                (folder / name).symlink_to(Path('..', '..', name), (ROOT / name).is_dir())
            except OSError:
                _copy(ROOT / name, folder / name)

    def _lead_to_source(self):
        """Let mmengine and mim find the source tree of an editable install.

        Both take ``<where the metadata lies>/<first line of top_level.txt>`` for the package's folder. The metadata of
        an editable install lies in site-packages, the package does not: an absolute first line leads them to it.
        """
        wheel = Path(self.get_finalized_command('install').install_lib)  # unpacked, metadata already inside
        for top_level in wheel.glob('mmlgd-*.dist-info/top_level.txt'):
            top_level.write_text(f'{ROOT / "mmlgd"}\nmmlgd\n')


def _copy(source, target):
    if source.is_dir():
        shutil.copytree(source, target, ignore=IGNORE)
    else:
        shutil.copy2(source, target)


setup(cmdclass={'build_py': BuildPyWithMim})
