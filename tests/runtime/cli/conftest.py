"""The command cgan-run with the tiny model, in this process."""

from pathlib import Path

import pytest
from commands import Command


@pytest.fixture
def run(call: Command, tiny_model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run the command in an empty folder: run("--digit", 9)."""
    monkeypatch.chdir(folder)

    def run_here(*arguments: object) -> object:
        model = () if "--model" in arguments else ("--model", tiny_model)
        return call("cgan-run", *model, *arguments)

    return run_here  # type: ignore[return-value]
