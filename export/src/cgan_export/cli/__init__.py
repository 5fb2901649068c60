"""The commands cgan-export and cgan-eval. Only these modules print."""
