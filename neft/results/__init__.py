"""The layout of `results/<name>/`, provenance of what lies there, and its verification."""
