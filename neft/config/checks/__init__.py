"""Mistakes that no single key shows, one module per subject."""
