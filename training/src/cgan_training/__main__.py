"""Run ``cgan-train`` as ``python -m cgan_training``."""

from cgan_training.cli.train import main

if __name__ == "__main__":
    main()
