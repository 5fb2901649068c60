"""Other artifacts made from an exported file, such as a Triton model repository."""
