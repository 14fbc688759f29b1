"""Training: the loop, parameter groups and schedule, precision, checkpoints."""
