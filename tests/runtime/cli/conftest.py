"""The command with the tiny model."""

from pathlib import Path

import pytest
from cli_runs import Draw
from click.testing import CliRunner, Result

from cgan_runtime.cli.run import command


@pytest.fixture
def draw(tiny_model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Draw:
    """Run the command with the tiny model in this process: draw("--digit", 9)."""
    monkeypatch.chdir(folder)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(
            command, ["--model", str(tiny_model), *map(str, arguments)], catch_exceptions=False
        )

    return run
