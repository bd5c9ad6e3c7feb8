"""Answers of a model: greedy decoding, likelihood of given answers, benchmarks through lm-eval."""
