"""What rows are for: prompt, answer, and how an output is read; one plug-in per kind of task."""
