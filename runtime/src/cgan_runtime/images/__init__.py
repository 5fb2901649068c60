"""Image files: grids, PNG, NumPy arrays, IDX datasets, and block characters for a terminal."""
