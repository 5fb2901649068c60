"""The commands that read the mutants, and the checks on what they do."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import click
import numpy as np
import onnx_mutants

MAX_LINE_LENGTH = 1000  # characters of an error message
Completed = subprocess.CompletedProcess[str]


class Outcome(NamedTuple):
    """What the commands did with a mutant."""

    kind: str  # of the mutation
    result: str  # "refused", "unchanged", "accepted" or "caught by cgan-check"


class CheckError(Exception):
    """A command did what it must not do."""


def call(command: click.Command, arguments: Sequence[object]) -> Completed:
    """Run a command in this process and capture its output, including that of C code.

    Raises:
        CheckError: it raises an exception or does not report its error in one line.
    """
    from cgan_runtime.cli import runner

    name, code, error = command.name or "", None, None
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        sys.stdout.flush()
        sys.stderr.flush()
        saved = os.dup(1), os.dup(2)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            runner.run(command, [*map(str, arguments)])
        except SystemExit as exiting:
            code = exiting.code
        except BaseException as raised:  # noqa: BLE001 - reported below
            error = raised
        finally:
            for stream, descriptor, original in zip(
                (sys.stdout, sys.stderr), (1, 2), saved, strict=True
            ):
                with contextlib.suppress(OSError):
                    stream.flush()
                os.dup2(original, descriptor)
                os.close(original)
        out.seek(0)
        err.seek(0)
        texts = out.read().decode(), err.read().decode()
    completed = Completed([name], int(code or 0), *texts)
    if error is not None:
        raise CheckError(f"{name}: {type(error).__name__}: {error}") from error
    _check_error_line(name, completed.returncode, completed.stderr)
    return completed


def _check_error_line(name: str, code: int, stderr: str) -> None:
    lines = [line for line in stderr.split("\n") if line]
    errors = [line for line in lines if line.startswith("error: ")]
    if code not in (0, 1, 2) or len(errors) != bool(code) or re.search("Traceback|Warning", stderr):
        raise CheckError(f"{name} exits with {code} and prints {stderr!r:.300}")
    for line in errors:
        is_clear = line == lines[-1] and "; " in line
        if not is_clear or not line.isprintable() or len(line) > MAX_LINE_LENGTH:
            raise CheckError(f"{name} does not end with one clear error line: {stderr!r:.300}")


class WorkFolder:
    """A folder for one mutant at a time, which detects files in it and around it."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="fuzz-")
        self._root = Path(self._temporary.name)
        self._work = self._root / "a" / "b" / "work"
        self.canary = self._root / "ran"
        os.environ["HOME"] = str(self._root)

    def clear(self) -> None:
        shutil.rmtree(self._root / "a", ignore_errors=True)
        self._work.mkdir(parents=True)
        os.chdir(self._work)

    def check(self, *allowed: str) -> None:
        """Check that no other files exist in the folder or around it."""
        if self.canary.exists():
            raise CheckError("a pickle ran code")
        files = {os.path.relpath(path) for path in self._root.rglob("*") if path.is_file()}
        if files - {*allowed}:
            raise CheckError(f"unexpected files: {sorted(files - {*allowed})}")


def _skip_speed_measurement() -> None:
    """Replace the measurement, which takes half a second, before the commands import it."""
    from cgan_runtime.diagnostics import speed

    vars(speed)["measure_speed"] = lambda *_: speed.Speed(1.0, 1.0)


def _check_golden(passed: bool) -> None:
    """Compare the golden images of m.onnx with what the command reported about them."""
    from cgan_runtime import ImageGenerator
    from cgan_runtime.diagnostics.device_check import golden_tolerance

    with ImageGenerator("m.onnx", "cpu", threads=1) as generator:
        golden = generator.info.golden
        images = generator.generate(list(golden.labels), seed=golden.seed).astype(int)
        expected = np.frombuffer(golden.images, np.uint8).reshape(images.shape)
        tolerance = golden_tolerance(generator.provider, generator.info)
    if passed != bool(np.abs(images - expected).max() <= tolerance):
        raise CheckError("the command reports a wrong result for the golden images")


class OnnxTarget:
    """Feed .onnx files to cgan-run and cgan-check."""

    def __init__(self, models: Path) -> None:
        _skip_speed_measurement()
        from cgan_runtime.cli import check, run

        self._run, self._check = run.command, check.command
        self._contents = [path.read_bytes() for path in sorted(models.glob("*.onnx"))]
        self._folder = WorkFolder()

    def feed(self, random: Random) -> Outcome:
        """Create one mutant, feed it to the commands and check what they do.

        Raises:
            CheckError: a command did what it must not do.
        """
        content = random.choice(self._contents)
        mutant, kind, is_checksum_valid = onnx_mutants.mutate(content, random)
        self._folder.clear()
        Path("m.onnx").write_bytes(mutant)
        model = ["--model", "m.onnx", "--provider", "cpu", "--threads", 1]
        run = call(self._run, [*model, "--count", 2, "--seed", 7, "--output", "images.npy"])
        check = call(self._check, [*model, "--json"])
        self._folder.check("m.onnx", *([] if run.returncode else ["images.npy"]))
        if run.returncode:
            if not check.returncode:
                raise CheckError(f"cgan-check passes, but cgan-run prints {run.stderr!r:.300}")
            return Outcome(kind, "refused")
        if not check.stdout:
            raise CheckError(f"cgan-run succeeds, but cgan-check prints {check.stderr!r:.300}")
        if mutant == content:
            return Outcome(kind, "unchanged")
        if not is_checksum_valid:
            raise CheckError(f"a file with a wrong checksum is accepted: {kind}")
        images, report = np.load("images.npy"), json.loads(check.stdout)
        shape = (2 * len(report["model"]["classes"]), *report["model"]["shape"])
        if images.dtype != np.uint8 or images.shape != shape:
            raise CheckError(f"the images are {images.dtype} {images.shape}, expected {shape}")
        _check_golden(passed=check.returncode == 0)
        return Outcome(kind, "caught by cgan-check" if check.returncode else "accepted")


class _ArchiveTarget:
    """The common part of the two targets that read archives."""

    def __init__(self, runs: Path, name: str) -> None:
        import archive_mutants
        import torch

        torch.set_num_threads(1)
        self._mutate = archive_mutants.mutate
        self._runs = sorted(path.parent for path in runs.glob(f"*/{name}"))
        self._contents = {run: (run / name).read_bytes() for run in self._runs}
        self._hashes = {run: _hash_of(run / name) for run in self._runs}
        self._folder = WorkFolder()

    def _write_mutant(self, random: Random) -> tuple[Path, str, bool]:
        """Write mutant.pt; return its run, its kind, and whether its values are unchanged."""
        run = random.choice(self._runs)
        self._folder.clear()
        mutant, kind, is_checksum_valid = self._mutate(
            self._contents[run], random, self._folder.canary
        )
        Path("mutant.pt").write_bytes(mutant)
        mutant_hash = _hash_of(Path("mutant.pt"))
        self._folder.check("mutant.pt")
        is_unchanged = mutant_hash == self._hashes[run]
        is_accepted = mutant_hash is not None
        if is_accepted and not is_unchanged and not is_checksum_valid:
            raise CheckError(f"a file with a wrong checksum is accepted: {kind}")
        return run, kind, is_unchanged


class ModelTarget(_ArchiveTarget):
    """Feed model.pt files to cgan-export."""

    def __init__(self, runs: Path) -> None:
        super().__init__(runs, "model.pt")
        _skip_speed_measurement()
        from cgan_export.cli import export

        self._command = export.command

    def feed(self, random: Random) -> Outcome:
        """Create one mutant, export it and check the result; see OnnxTarget."""
        _, kind, is_unchanged = self._write_mutant(random)
        if is_unchanged:  # the tests of cgan-export cover valid files
            return Outcome(kind, "unchanged")
        precision = random.choice(("fp32", "fp32", "fp16", "int8"))
        options = ["--precision", precision, "--no-quality-gate", "--json"]
        code = call(self._command, ["mutant.pt", "m.onnx", *options]).returncode
        self._folder.check("mutant.pt", *([] if code else ["m.onnx"]))
        if code:
            return Outcome(kind, "refused")
        _check_golden(passed=True)
        return Outcome(kind, "accepted")


class CheckpointTarget(_ArchiveTarget):
    """Feed checkpoint.pt files to cgan-train --resume."""

    def __init__(self, runs: Path) -> None:
        super().__init__(runs, "checkpoint.pt")
        from cgan_training import data
        from cgan_training.cli import train
        from cgan_training.run import artifacts

        vars(data)["load_dataset"] = cache(data.load_dataset)
        vars(artifacts)["draw_curves"] = lambda *_: b""  # matplotlib takes half a second
        self._command = train.command

    def feed(self, random: Random) -> Outcome:
        """Create one mutant, resume from it and check the run directory; see OnnxTarget."""
        run, kind, is_unchanged = self._write_mutant(random)
        if is_unchanged:  # the tests of cgan-train cover valid files
            return Outcome(kind, "unchanged")
        folder = Path("run")
        shutil.copytree(run, folder, ignore=shutil.ignore_patterns("*.pt"))
        Path("mutant.pt").rename(folder / "checkpoint.pt")
        before = _files(folder)
        arguments = ["--resume", folder, "--data-dir", "nowhere", "--minutes", 0.02]
        code = call(self._command, arguments).returncode
        if code and _files(folder) != before:
            raise CheckError("a run that cannot be resumed was changed")
        return Outcome(kind, "refused" if code else "accepted")


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _hash_of(path: Path) -> str | None:
    """Return a hash of the values in an archive, or None if the archive is refused."""
    from cgan_training.archive import ArchiveError, load_archive

    try:
        content = load_archive(path)
    except (ArchiveError, OSError):
        return None
    return hashlib.sha256(_to_bytes(content)).hexdigest()


def _to_bytes(value: Any) -> bytes:
    """Return bytes that differ for different tensors and plain values."""
    import torch

    if isinstance(value, dict):
        return b"{" + b",".join(_to_bytes(key) + _to_bytes(value[key]) for key in value) + b"}"
    if isinstance(value, list | tuple):
        return b"[" + b",".join(map(_to_bytes, value)) + b"]"
    if isinstance(value, torch.Tensor):
        numbers = value.reshape(-1).clone(memory_format=torch.contiguous_format)
        flat = torch.empty(len(numbers), dtype=value.dtype).copy_(numbers).view(torch.uint8)
        return f"{value.dtype} {tuple(value.shape)}".encode() + flat.numpy().tobytes()
    return repr(value).encode()


TARGETS: dict[str, Any] = {
    "onnx": OnnxTarget,
    "model": ModelTarget,
    "checkpoint": CheckpointTarget,
}
