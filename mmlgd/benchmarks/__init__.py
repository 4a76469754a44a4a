"""What the scripts in ``tools/benchmarks`` share: timing in turns, the published step, ours as a config builds it."""
