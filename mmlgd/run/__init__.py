"""Runs: options become a config, and a config a run. Each module is imported at its use: some need no torch."""
