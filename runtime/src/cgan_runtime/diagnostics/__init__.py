"""Internal: the measurements and device properties that cgan-check reports."""
