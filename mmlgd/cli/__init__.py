"""The command ``mmlgd``: one module per verb, each a thin layer over a function."""
