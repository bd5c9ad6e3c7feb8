"""What is trained: one plug-in per method."""
