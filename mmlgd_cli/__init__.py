"""The command ``mmlgd``. A package beside ``mmlgd``: ``mmlgd doctor`` has to start where ``import mmlgd`` refuses."""
