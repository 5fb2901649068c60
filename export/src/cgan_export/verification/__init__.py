"""Comparison of an exported file with PyTorch, and the search for the first value that differs."""
