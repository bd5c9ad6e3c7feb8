"""From a configuration to what Snakemake's rules need: runs, specs, fingerprints, resources, GPUs and
processes. Nothing in the library imports it.
"""
