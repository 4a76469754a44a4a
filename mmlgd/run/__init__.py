"""Runs: options become a config, and the config a run. Import each module where it is used: some need no torch."""
