"""What the mutants are fed to, and what must be true of it."""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Protocol

import click

ONE_LINE = "error: "
LONGEST_LINE = 1000  # characters


class WrongError(Exception):
    """What must not happen did."""


@dataclass(frozen=True)
class DiscriminatorOutput:
    """What became of a mutant."""

    kind: str  # of mutation
    fate: str  # "refused", "unchanged", "accepted"


class Target(Protocol):
    """Feeds mutants to commands."""

    def feed(self, random: Random) -> DiscriminatorOutput:
        """Make one mutant and feed it.

        Raises:
            WrongError: a command did what it must not.
        """


@dataclass(frozen=True)
class Done:
    """What a command left."""

    code: int
    stdout: str
    stderr: str


def call(command: click.Command, arguments: Sequence[object]) -> Done:
    """Run a command in this process, as its main() does; what C code prints is seen too.

    Raises:
        WrongError: it ends in a traceback, or says more than a line.
    """
    from cgan_runtime.cli import conventions

    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with _into(1, out.fileno()), _into(2, err.fileno()):
            code: Any = None
            raised: BaseException | None = None
            try:
                conventions.run(command, [*map(str, arguments)])
            except SystemExit as leaving:
                code = leaving.code
            except BaseException as error:  # noqa: BLE001 - this is what is looked for
                raised = error
        out.seek(0)
        err.seek(0)
        done = Done(code or 0, out.read().decode(), err.read().decode())
    if raised is not None:
        raise WrongError(f"{command.name}: {type(raised).__name__}: {raised}") from raised
    _require_words(command.name or "", done)
    return done


def _require_words(name: str, done: Done) -> None:
    lines = [line for line in done.stderr.split("\n") if line]
    errors = [line for line in lines if line.startswith(ONE_LINE)]
    if done.code not in (0, 1, 2):
        raise WrongError(f"{name} ends with {done.code}: {done.stderr!r:.300}")
    strange = "Traceback" in done.stderr or "Warning" in done.stderr
    if len(errors) != (1 if done.code else 0) or strange:
        raise WrongError(f"{name} ends with {done.code} and says {done.stderr!r:.300}")
    if errors and (lines[-1] != errors[0] or "; " not in errors[0]):
        raise WrongError(f"{name} says {done.stderr!r:.300}")
    if any(len(line) > LONGEST_LINE or not line.isprintable() for line in errors):
        raise WrongError(f"{name} says what no terminal shows: {errors!r:.300}")


@contextlib.contextmanager
def _into(descriptor: int, other: int) -> Iterator[None]:
    """Send what is written to a descriptor to another one."""
    stream = sys.stdout if descriptor == 1 else sys.stderr
    stream.flush()
    kept = os.dup(descriptor)
    os.dup2(other, descriptor)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            stream.flush()
        os.dup2(kept, descriptor)
        os.close(kept)


class Folder:
    """A place of its own for each mutant, beside which nothing may appear."""

    def __init__(self) -> None:
        self._above = Path(tempfile.mkdtemp(prefix="fuzz-"))
        self.work = self._above / "a" / "b" / "work"
        self.canary = self._above / "ran"
        os.environ["HOME"] = str(self._above)

    def clear(self) -> None:
        shutil.rmtree(self._above / "a", ignore_errors=True)
        self.work.mkdir(parents=True)
        os.chdir(self.work)

    def require(self, allowed: set[str]) -> None:
        """Check that no file but these is in the work folder, and none beside it."""
        if self.canary.exists():
            raise WrongError("a pickle ran")
        found = {
            path.relative_to(self.work).as_posix() if path.is_relative_to(self.work) else str(path)
            for path in self._above.rglob("*")
            if path.is_file()
        }
        if found - allowed:
            raise WrongError(f"there are {sorted(found - allowed)}")

    def remove(self) -> None:
        os.chdir("/")
        shutil.rmtree(self._above, ignore_errors=True)


class Onnx:
    """cgan-run and cgan-check."""

    def __init__(self, models: Path) -> None:
        from cgan_runtime.cli import check, run
        from cgan_runtime.diagnostics.speed import Speed

        vars(check)["measure_speed"] = lambda _: Speed(1.0, 1.0)  # which takes half a second
        self._run, self._check = run.command, check.command
        self._contents = [path.read_bytes() for path in sorted(models.glob("*.onnx"))]
        self._folder = Folder()

    def feed(self, random: Random) -> DiscriminatorOutput:
        import numpy as np
        import onnx_mutants

        content = random.choice(self._contents)
        mutant, kind, rechecksummed = onnx_mutants.mutated(content, random)
        self._folder.clear()
        Path("m.onnx").write_bytes(mutant)
        model = ["--model", "m.onnx", "--provider", "cpu"]
        drawn = ["--count", 2, "--seed", 7, "--threads", 1, "--output", "drawn.npy"]
        run = call(self._run, [*model, *drawn])
        checked = call(self._check, [*model, "--threads", 1, "--json"])
        self._folder.require({"m.onnx"} | ({"drawn.npy"} if run.code == 0 else set()))
        if run.code or checked.code:
            if run.code == 0 and "off what the model promises" not in checked.stderr:
                raise WrongError(f"cgan-run draws, cgan-check says {checked.stderr!r:.300}")
            if run.code and not checked.code:
                raise WrongError(f"cgan-check is content, cgan-run says {run.stderr!r:.300}")
        if run.code:
            return DiscriminatorOutput(kind, "refused")
        if mutant == content:
            return DiscriminatorOutput(kind, "unchanged")
        if not rechecksummed:
            raise WrongError(f"a changed file is drawn with: {kind}")
        images = np.load("drawn.npy")
        facts = json.loads(checked.stdout)
        shape = (2 * len(facts["model"]["classes"]), 1, *facts["model"]["shape"])
        if images.dtype != np.uint8 or images.shape != shape:
            raise WrongError(f"images are {images.dtype} {images.shape}, promised {shape}")
        self._require_golden(facts["passed"])
        return DiscriminatorOutput(kind, "accepted" if facts["passed"] else "told by cgan-check")

    @staticmethod
    def _require_golden(passed: bool) -> None:
        """Check cgan-check's word on whether the file draws its golden images."""
        import numpy as np

        from cgan_runtime import ImageGenerator

        with ImageGenerator("m.onnx", "cpu", threads=1) as generator:
            golden = generator.info.golden
            drawn = generator.generate(list(golden.labels), seed=golden.seed).astype(int)
            promised = np.frombuffer(golden.images, np.uint8).reshape(drawn.shape)
            allowed = 0 if generator.info.precision == "int8" else 1
        if passed != bool(np.abs(drawn - promised).max() <= allowed):
            raise WrongError("cgan-check is wrong about the golden images")


class Archives:
    """What cgan-export and cgan-train --resume have in common."""

    def __init__(self, runs: Path, name: str) -> None:
        import torch

        torch.set_num_threads(1)
        self._runs, self._name = sorted(path.parent for path in runs.glob(f"*/{name}")), name
        self._contents = {run: (run / name).read_bytes() for run in self._runs}
        self._hashes = {run: self._hash(run / name) for run in self._runs}
        self._folder = Folder()

    @staticmethod
    def _hash(path: Path) -> str | None:
        """Return a hash of all that is read from a file; None where it is refused."""
        from cgan_training.archive import ArchiveError, load_archive

        try:
            content = load_archive(path)
        except (ArchiveError, OSError):
            return None
        return hashlib.sha256(_as_bytes(content)).hexdigest()

    def _mutant(self, random: Random) -> tuple[Path, str, bool]:
        import archive_mutants

        run = random.choice(self._runs)
        self._folder.clear()
        mutant, kind, rechecksummed = archive_mutants.mutated(
            self._contents[run], random, self._folder.canary
        )
        Path("mutant.pt").write_bytes(mutant)
        self._folder.require({"mutant.pt"})
        found = self._hash(Path("mutant.pt"))
        self._folder.require({"mutant.pt"})
        unchanged = found == self._hashes[run]
        if found is not None and not unchanged and not rechecksummed:
            raise WrongError(f"a changed file is believed: {kind}")
        return run, kind, unchanged


class Model(Archives):
    """cgan-export."""

    def __init__(self, runs: Path) -> None:
        super().__init__(runs, "model.pt")
        from cgan_export.cli import export as export_cli
        from cgan_export.cli import report
        from cgan_runtime.diagnostics.speed import Speed

        vars(report)["measure_speed"] = lambda _: Speed(1.0, 1.0)
        self._command = export_cli.command

    def feed(self, random: Random) -> DiscriminatorOutput:
        _, kind, unchanged = self._mutant(random)
        if unchanged:  # what it is exported to is told by the tests of cgan-export
            return DiscriminatorOutput(kind, "unchanged")
        precision = random.choice(("fp32", "fp32", "fp16", "int8"))
        arguments = ["mutant.pt", "m.onnx", "--precision", precision, "--no-quality-gate"]
        done = call(self._command, [*arguments, "--json"])
        self._folder.require({"mutant.pt"} | ({"m.onnx"} if done.code == 0 else set()))
        if done.code:
            return DiscriminatorOutput(kind, "refused")
        Onnx._require_golden(passed=True)
        return DiscriminatorOutput(kind, "accepted")


class Checkpoint(Archives):
    """cgan-train --resume."""

    def __init__(self, runs: Path) -> None:
        super().__init__(runs, "checkpoint.pt")
        from cgan_training import data
        from cgan_training.cli import train as train_cli
        from cgan_training.run import artifacts

        vars(data)["load_dataset"] = cache(data.load_dataset)
        vars(artifacts)["curves"] = lambda _metrics, _title: b""  # half a second of matplotlib
        self._command = train_cli.command

    def feed(self, random: Random) -> DiscriminatorOutput:
        run, kind, unchanged = self._mutant(random)
        if unchanged:  # a run that is gone on with is told by the tests of cgan-train
            return DiscriminatorOutput(kind, "unchanged")
        folder = Path("run")
        folder.mkdir()
        for name in ("config.json", "metrics.jsonl", "samples"):
            place = shutil.copytree if (run / name).is_dir() else shutil.copy
            place(run / name, folder / name)
        Path("mutant.pt").rename(folder / "checkpoint.pt")
        before = _files(folder)
        arguments = ["--resume", folder, "--data-dir", "nowhere", "--minutes", 0.02]
        done = call(self._command, arguments)
        if done.code:
            if _files(folder) != before:
                raise WrongError("a run that cannot be resumed was changed")
            return DiscriminatorOutput(kind, "refused")
        return DiscriminatorOutput(kind, "accepted")


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _as_bytes(value: Any) -> bytes:
    """Return tensors and plain values as bytes that are theirs alone."""
    import torch

    if isinstance(value, dict):
        return b"{" + b",".join(_as_bytes(key) + _as_bytes(value[key]) for key in value) + b"}"
    if isinstance(value, list | tuple):
        return b"[" + b",".join(map(_as_bytes, value)) + b"]"
    if isinstance(value, torch.Tensor):
        numbers = value.reshape(-1).clone(memory_format=torch.contiguous_format)
        flat = torch.empty(len(numbers), dtype=value.dtype).copy_(numbers).view(torch.uint8)
        return f"{value.dtype} {tuple(value.shape)}".encode() + flat.numpy().tobytes()
    return repr(value).encode()


TARGETS: dict[str, Any] = {"onnx": Onnx, "model": Model, "checkpoint": Checkpoint}
