"""Internal: one module per source of a dataset: a named set, a folder or a file of the user."""
