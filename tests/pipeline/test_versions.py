"""The three are released together: one version, siblings pinned to it."""

from importlib.metadata import requires, version

import cgan_export
import cgan_runtime
import cgan_training


def test_one_version_for_all() -> None:
    assert cgan_training.__version__ == cgan_export.__version__ == cgan_runtime.__version__
    for name in ("cgan-training", "cgan-export", "cgan-runtime"):
        assert version(name) == cgan_runtime.__version__


def test_export_pins_its_siblings() -> None:
    needs = requires("cgan-export") or []
    assert f"cgan-training=={cgan_training.__version__}" in needs
    assert f"cgan-runtime[cpu]=={cgan_runtime.__version__}" in needs
