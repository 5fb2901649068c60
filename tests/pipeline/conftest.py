"""Fixtures of the tests that run whole commands."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    stdout: bytes
    stderr: bytes

    def require_success(self) -> None:
        assert (self.code, self.stderr) == (0, b"")

    def error(self, code: int = 1) -> str:
        """Return the error message, after a check that nothing else was printed."""
        assert (self.code, self.stdout) == (code, b""), self.stderr
        *progress, line = self.stderr.decode(errors="replace").splitlines()
        assert all(each.startswith(("using the recipe ", "recipe ", "epoch ")) for each in progress)
        assert line.startswith("error: ")
        return line


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    """Run a command as a subprocess in tmp_path: run("cgan-run", "--digit", "9").

    Options: `env` changes variables or (None) removes them; `file_size` limits each file's bytes.
    """

    def start(
        *words: str | Path,
        env: Mapping[str, str | None] | None = None,
        file_size: int = resource.RLIM_INFINITY,
    ) -> Result:
        variables = {**os.environ, "PATH": PATH, **(env or {})}
        done = subprocess.run(
            [shutil.which(words[0], path=PATH) or words[0], *words[1:]],
            cwd=tmp_path,
            env={key: value for key, value in variables.items() if value is not None},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=300,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return start


@pytest.fixture
def with_mount() -> Callable[[str], tuple[str, ...]]:
    """Return the prefix of a command line that runs it in a new namespace with this mount."""

    def prefix(mount: str) -> tuple[str, ...]:
        user = ["--map-root-user"] if os.getuid() else []
        words = ("unshare", "--mount", *user, "sh", "-c", f'{mount} || exit 99; exec "$@"', "sh")
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
            pytest.skip("this system allows no mounts")
        return words

    return prefix
