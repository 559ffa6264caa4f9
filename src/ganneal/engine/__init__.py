"""The engine: configuration, training, populations, checkpoints, guard."""
