"""Only cgan_runtime's import_onnxruntime() imports onnxruntime: it disables telemetry first."""

import subprocess
import sys

SCRIPT = """
import pkgutil, sys
import cgan_export
for module in pkgutil.walk_packages(cgan_export.__path__, "cgan_export."):
    __import__(module.name)
sys.exit("onnxruntime" in sys.modules)
"""


def test_no_module_of_the_export_imports_onnxruntime() -> None:
    assert subprocess.run([sys.executable, "-c", SCRIPT], check=False).returncode == 0
