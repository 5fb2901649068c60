"""Files that are not valid models: the error names the file, the problem and what to do."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from cgan_runtime.errors import ModelError
from cgan_runtime.generator import ImageGenerator


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("missing", "there is no model"),
        ("directory", "cannot read the model"),
        ("below-a-file", "cannot read the model"),
        ("empty", "is empty"),
        ("truncated", "is not an ONNX model, or is truncated or damaged (truncated)"),
        ("text", "is not an ONNX model"),
        ("zeros", "is not an ONNX model"),
        ("damaged", "was changed after its export"),
        ("foreign", "not one that cgan-export wrote"),
        ("newer", "upgrade cgan-runtime"),
        ("incomplete", "malformed contract metadata"),
        ("renamed", "no output 'image'"),
        ("retyped", "its input is"),
        ("float", "its output is"),
        ("static", "its input is"),
        ("three-dimensional", "no output 'image'"),
        ("extra-input", "its input is"),
    ],
)
def test_error_names_file_and_problem(
    bad_models: Mapping[str, Path],
    fault: str,
    reason: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = bad_models[fault]
    with pytest.raises(ModelError) as caught:
        ImageGenerator(str(path), threads=1)
    message = str(caught.value)
    assert reason in message
    assert str(path) in message
    assert "; " in message
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", [TimeoutError, FileNotFoundError, ValueError])
def test_error_of_a_signal_handler_is_not_a_bad_path(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    raised = kind("the caller's alarm")

    def interrupt(*_: object) -> None:
        raise raised

    monkeypatch.setattr(Path, "open", interrupt)
    with pytest.raises(kind) as caught:
        ImageGenerator(tiny_model)
    assert caught.value is raised


@pytest.mark.parametrize("name", ["m\0.onnx", "m\ud800.onnx", "n" * 5000])
def test_impossible_path_is_rejected(name: str) -> None:
    with pytest.raises(ModelError, match="cannot read the model"):
        ImageGenerator(name)


def test_model_truncated_anywhere_is_rejected(tiny_model: Path, tmp_path: Path) -> None:
    content, path = tiny_model.read_bytes(), tmp_path / "cut.onnx"
    sizes = {*range(1, 40), *range(len(content) - 60, len(content))}
    for size in sizes.union(range(40, len(content), 211)):
        path.write_bytes(content[:size])
        with pytest.raises(ModelError, match=r"cut\.onnx"):
            ImageGenerator(path, "cpu", threads=1)
