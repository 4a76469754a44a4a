"""Helpers that all other packages of mmlgd use: files, numbers, processes, paths and checks."""
