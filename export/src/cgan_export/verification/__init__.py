"""Compare an exported file with PyTorch, and find the first value that differs."""
