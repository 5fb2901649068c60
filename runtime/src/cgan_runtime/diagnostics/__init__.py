"""Internal: what cgan-check reports: providers, the result of the golden sample, and speed."""
