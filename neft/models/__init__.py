"""A model on disk and in memory: preparing, loading, identity (`base_hash`), device and precision.
Uses data and storage.
"""
