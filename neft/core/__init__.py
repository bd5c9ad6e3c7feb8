"""Neuron-level fine-tuning itself: sites, masks, trained layers, deltas, merging, export. This is what a
PEFT user imports; it knows nothing of configuration, workflow or tables.
"""
