"""Train the classic conditional GAN (Mirza & Osindero 2014) on handwritten digits."""

__version__ = "0.1.0"
