"""The command cgan-train, and what the commands that load PyTorch share."""
