"""The command ``mmlgd``: a module a verb, each a thin layer over a function."""
