"""Runs: options become a config, and a config a run. Each module is imported when it is used: some wait for no torch."""
