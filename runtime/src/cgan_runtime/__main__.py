"""Run ``cgan-run`` as ``python -m cgan_runtime``."""

from cgan_runtime.cli import cgan_run

if __name__ == "__main__":
    cgan_run()
