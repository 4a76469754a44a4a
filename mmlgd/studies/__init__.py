"""Comparisons over seeds: starts of a downstream run, with a verdict, and recipes of pre-training.

Import each function's module where it is used: it needs no torch, so that help is quick.
"""
