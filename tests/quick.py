"""What libraries do anew for each test, though it comes out the same each time, or nobody looks at it."""

import functools
import sys
import time
from multiprocessing import popen_fork

import mmengine.config.config
from matplotlib.figure import Figure
from mmengine.config import Config, utils
from open_clip import tokenizer
from yapf.yapflib import yapf_api

draw, lay_out = Figure.savefig, yapf_api.FormatCode


def be_quick():
    """Leave most of a short run, and of a small teacher, out of this process."""
    # For each `_base_` of another package mmengine reads all packages that are installed, and all metafiles of one.
    utils.load = functools.cache(utils.load)
    path_of = Config._get_cfg_path
    path_in_package = functools.cache(lambda name: path_of(name, ''))
    Config._get_cfg_path = staticmethod(
        lambda name, file: path_in_package(name) if '::' in name else path_of(name, file)
    )

    # The layout of a config's text.
    set_layout(lambda text, **style: (text + '\n', True))

    # Each teacher of open_clip reads 48,894 merges of letters, for a tokenizer that the module has already.
    read = tokenizer.SimpleTokenizer.__init__
    there = vars(tokenizer._tokenizer)

    def read_once(self, *, context_length=there['context_length'], **others):
        if others:
            read(self, context_length=context_length, **others)
        else:
            vars(self).update(there, context_length=context_length)

    tokenizer.SimpleTokenizer.__init__ = read_once

    # A loader that an error has left behind waits five seconds for its processes, when Python collects it together with
    # the pipe that would say that they have ended.
    wait = popen_fork.Popen.wait

    def look(self, timeout=None):
        end = time.monotonic() + (timeout or 0)
        while timeout and self.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        return self.poll() if timeout else wait(self, timeout)

    popen_fork.Popen.wait = look

    # The pixels of a run's curves; `draw` does draw.
    def draw_others(self, file, **options):
        is_curves = sys._getframe(1).f_globals['__name__'] == 'mmlgd.engine.reports.curves'
        return file.write(b'a figure') if is_curves else draw(self, file, **options)

    Figure.savefig = draw_others


def set_layout(function):
    """Let mmengine lay out the text of a config so; `lay_out` is its own."""
    yapf_api.FormatCode = function  # the fork imports it where it is used
    if hasattr(mmengine.config.config, 'FormatCode'):
        mmengine.config.config.FormatCode = function
