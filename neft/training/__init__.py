"""One training loop for all methods: loss, checkpoints, processes. Uses core, models and data."""
