from pathlib import Path

import pytest

from cgan_training.errors import OutputError
from cgan_training.files import written_whole


def write(path: Path, parts: list[bytes | None]) -> None:
    """Write the parts one by one; None is an accident."""
    with written_whole(path) as file:
        for part in parts:
            if part is None:
                raise ZeroDivisionError
            file.write(part)


def test_a_file_appears_only_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError):
        write(path, [b"half", None])
    assert path.read_bytes() == b"old"
    with written_whole(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    for place in (tmp_path / "none" / "model.pt", tmp_path, Path("/dev/null")):
        with pytest.raises(OutputError, match=f"{place}.*; choose another place"):
            write(place, [b"new"])
    assert not list(tmp_path.iterdir())
