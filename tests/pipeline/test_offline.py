"""No command uses the network: they run in a namespace without one, or with forbidden sockets."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import in_one_process

# Python reports every socket and every name lookup to the audit hooks.
FORBID_SOCKETS = """
    import sys

    def hook(event, arguments):
        if event.partition(".")[0] in ("socket", "urllib", "http"):
            raise SystemExit(f"{event} {arguments}")

    sys.addaudithook(hook)
"""


def test_only_a_download_needs_a_network(
    run: Callable[..., Any], small_toml: Path, classifier_cache: Path, tmp_path: Path
) -> None:
    """In a new network namespace, not even 127.0.0.1 can be reached."""
    if run("unshare", "-rn", "true").code:
        pytest.skip("this system allows no network namespaces")
    train, cache = ("cgan-train", "--recipe", small_toml), ("--cache-dir", classifier_cache)
    bulk = ("--count", 30, "--shard-images", 100, "--format", "idx", "--output", "bulk")
    download = ("--dataset", "mnist", "--data-dir", tmp_path / "data", "--run-dir", "mnist")
    commands = in_one_process(
        (*train, "--dataset", "optdigits", "--run-dir", "run", "--threads", 1),
        ("cgan-export", "run", "digits.onnx"),
        ("cgan-eval", "digits.onnx", *cache, "--quick", "--threads", 1),
        ("cgan-bulk", *bulk),
        (*train, *download),
    )
    done = run("unshare", "-rn", *commands)
    *_, error, last = done.stderr.decode().splitlines()
    assert last == "cgan_training.cli.train ended with the exit code 1"
    assert error.startswith("error: ")
    assert "cannot be downloaded" in error
    assert done.stderr.count(b"error: ") == 1
    assert (tmp_path / "bulk" / "job.json").is_file()


@pytest.mark.parametrize(("module", "words"), [("run", ["--digit", "9"]), ("check", [])])
def test_the_runtime_opens_no_socket(module: str, words: list[str], tmp_path: Path) -> None:
    code = textwrap.dedent(FORBID_SOCKETS)
    code += f"import cgan_runtime.cli.{module} as it\n"
    code += f"sys.argv[1:] = {['--provider', 'cpu', *words]}; it.main()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
