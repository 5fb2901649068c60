"""The commands cgan-run, cgan-check and cgan-bulk: one module each, and the modules they share."""
