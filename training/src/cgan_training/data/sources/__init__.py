"""One module per source of datasets, such as a named dataset or a user's folder."""
