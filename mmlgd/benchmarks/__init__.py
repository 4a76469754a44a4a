"""Shared code of ``tools/benchmarks``: timing in turns, the published step, and our step as a config builds it."""
