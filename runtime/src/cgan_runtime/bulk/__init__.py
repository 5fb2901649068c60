"""What `cgan-bulk` does: images by the million, in shards, by several processes or machines."""
