"""Generation of millions of images in shards, by local processes or on a Ray cluster."""
