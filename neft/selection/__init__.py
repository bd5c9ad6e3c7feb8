"""From a probe, gradients, states or weights to a mask of the budget's size. Stands above training,
since the probe is a training.
"""
