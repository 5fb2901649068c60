"""``python -m cgan_training`` is ``cgan-train``."""

from cgan_training.cli.train import main

if __name__ == "__main__":
    main()
