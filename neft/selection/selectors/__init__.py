"""Which neuron comes before which: one plug-in per selector."""
