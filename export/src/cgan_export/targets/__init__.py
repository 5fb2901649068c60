"""Artifacts made from an exported file: a Triton model repository and C source."""
