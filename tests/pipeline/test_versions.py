from importlib.metadata import requires, version

import cgan_export
import cgan_runtime
import cgan_training


def test_the_three_distributions_have_one_version() -> None:
    assert cgan_training.__version__ == cgan_export.__version__ == cgan_runtime.__version__
    for name in ("cgan-training", "cgan-export", "cgan-runtime"):
        assert version(name) == cgan_runtime.__version__


def test_the_export_requires_this_version_of_the_others() -> None:
    requirements = requires("cgan-export") or []
    assert f"cgan-training=={cgan_training.__version__}" in requirements
    assert f"cgan-runtime[cpu]=={cgan_runtime.__version__}" in requirements
