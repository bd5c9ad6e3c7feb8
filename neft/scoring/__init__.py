"""Scores of outputs, their intervals and tests. Knows rows of text, not models."""
