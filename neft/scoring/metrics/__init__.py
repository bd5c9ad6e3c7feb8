"""How outputs are scored: one plug-in per metric."""
