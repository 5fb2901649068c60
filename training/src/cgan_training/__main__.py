"""Run ``cgan-train`` as ``python -m cgan_training``."""

from cgan_training.cli import cgan_train

if __name__ == "__main__":
    cgan_train()
