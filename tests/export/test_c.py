"""The files of cgan-export --c: written files, and rejected models. tests/c compiles them."""

import errno
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import model_graphs
import numpy as np
import pytest
from commands import Command
from numpy.typing import NDArray
from onnx import numpy_helper

from cgan_export.errors import ExportError
from cgan_export.targets.c import c_files, c_name
from cgan_export.targets.c.network import first_layer, read_network
from cgan_export.targets.c.source import c_texts, template_values, write_c
from cgan_runtime import ImageGenerator, OutputError
from cgan_runtime.model_file.contract import BIT_EXACT_KEY
from cgan_runtime.model_file.reading import SHIPPED_MODEL
from cgan_runtime.noise import standard_normal

Exported = dict[tuple[str, str], Path]
FILES = ["digits.c", "digits.h", "example/Makefile", "example/digits_main.c"]


def files_in(folder: Path) -> list[str]:
    paths = folder.rglob("*")
    return sorted(path.relative_to(folder).as_posix() for path in paths if path.is_file())


@pytest.fixture
def digits_file(tmp_path: Path) -> Path:
    return Path(shutil.copy(SHIPPED_MODEL, tmp_path / "digits.onnx"))


@pytest.mark.parametrize("kind", ["perceptron", "convolutional"])
def test_integer_arithmetic_equals_onnxruntime(exported: Exported, kind: str) -> None:
    path = exported[kind, "int8"]
    network = read_network(path.read_bytes())
    with ImageGenerator(path, "cpu") as generator:
        noise_dim, classes = generator.info.noise_dim, generator.info.classes
        images = generator.generate([i % classes for i in range(1000)], seed=6, start=2**40)
    noise = (standard_normal(6, 2**40, 1000, noise_dim) * 32).astype(int)
    actual = [network.generate(noise[i], i % classes) for i in range(1000)]
    np.testing.assert_array_equal(actual, images)


def test_an_onnx_file_becomes_c(call: Command, digits_file: Path, tmp_path: Path) -> None:
    done = call("cgan-export", "digits.onnx", "--c", "new/firmware")
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    memory = r", about (\d+,\d+) bytes of constants, (\d,\d+) bytes of stack\n"
    report = re.fullmatch(f"C source: new/firmware/digits.c{memory}", done.stdout.decode())
    assert report
    constants, stack = (int(each.replace(",", "")) for each in report.groups())
    folder = tmp_path / "new" / "firmware"
    assert files_in(folder) == FILES
    header, source = (folder / "digits.h").read_text(), (folder / "digits.c").read_text()
    with ImageGenerator(digits_file, "cpu") as generator:
        assert f'#define DIGITS_MODEL_SHA256 "{generator.model_sha256}"' in header
    bounds = (f"CONSTANT_BYTES {constants}", f"STACK_BYTES {stack}")
    for line in ("CLASSES 10", "CHANNELS 1", "HEIGHT 28", "WIDTH 28", "NOISE_DIM 64", *bounds):
        assert f"#define DIGITS_{line}\n" in header
    comment = " ".join(header[:300].replace("*", "").split())
    for word in ("digits.onnx", "recipe edge-finish", "dataset mnist", "cgan-export digits.onnx"):
        assert word in comment
    code = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
    assert not re.search(r"\b(float|double|malloc|math\.h)\b", code)
    assert max(map(len, source.splitlines())) <= 100
    done = call("cgan-export", "digits.onnx", "--c", "new/firmware", "--json")
    values = {"c": "new/firmware/digits.c", "c_constant_bytes": constants, "c_stack_bytes": stack}
    assert json.loads(done.stdout) == [{"path": "digits.onnx", **values}]


def test_a_model_becomes_onnx_and_c(call: Command, run_dir: Path, tmp_path: Path) -> None:
    options = ("--precision", "fp32", "--precision", "int8", "--no-quality-gate", "--c", "c")
    done = call("cgan-export", run_dir, "my model.onnx", *options)
    assert done.returncode == 0, done.stderr
    rows = [each.split() for each in done.stdout.decode().splitlines() if each.startswith("C ")]
    assert rows[0] == ["C", "source", "none", "c/my_model_int8.c"]
    assert [row[:2] for row in rows[1:]] == [["C", "constants"], ["C", "stack,"]]
    assert (tmp_path / "c" / "my_model_int8.c").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["digits.onnx"], 2, "is an .onnx file already; "),
        (["digits.onnx", "out.onnx", "--c", "c"], 2, "takes no OUTPUT"),
        (["digits.onnx", "--c", "c", "--precision", "int8"], 2, "takes no OUTPUT"),
        (["digits.onnx", "--c", "text"], 2, "is a file"),
        (["digits.onnx", "--c", "text/c"], 1, "cannot write text/c/digits.c: text is not a folder"),
        (["digits.onnx", "--c", "c" * 256], 1, "File name too long"),
        (["none.onnx", "--c", "c"], 1, "none.onnx"),
        (["broken.onnx", "--c", "c"], 1, "is not an ONNX model"),
        (["{fp16}", "--c", "c"], 1, "it is not bit-exact, so its images may differ between"),
        (["{fp32}", "--c", "c"], 1, "it is not bit-exact, so its images may differ between"),
        (["{run}", "--c", "c"], 2, "OUTPUT is missing; "),
        (["{run}", "out.onnx", "--c", "c"], 2, "--c writes an int8 file as C; add --precision"),
        (
            ["o.c", "o.onnx", "--c", ".", "--precision", "int8"],
            1,
            "o.c is not a file of cgan-export",
        ),
    ],
)
def test_bad_input_gives_one_line_and_no_file(
    call: Command,
    exported: Exported,
    run_dir: Path,
    digits_file: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    (tmp_path / "text").write_text("not a folder")
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    (tmp_path / "o.c").touch()
    before = files_in(tmp_path)
    names = {each: str(exported["perceptron", each]) for each in ("fp16", "fp32")}
    done = call("cgan-export", *(each.format(run=run_dir, **names) for each in arguments))
    assert (done.returncode, done.stdout) == (code, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert files_in(tmp_path) == before


@pytest.mark.usefixtures("digits_file")
def test_edited_and_foreign_files_are_not_overwritten(call: Command, tmp_path: Path) -> None:
    assert call("cgan-export", "digits.onnx", "--c", "c").returncode == 0
    (tmp_path / "c" / "example" / "digits_main.c").write_text("edited")
    assert call("cgan-export", "digits.onnx", "--c", "c").returncode == 0
    assert (tmp_path / "c" / "example" / "digits_main.c").read_text() == "edited"
    (tmp_path / "c" / "digits.h").write_text("#define MINE")
    done = call("cgan-export", "digits.onnx", "--c", "c")
    assert done.returncode == 1
    assert b"error: c/digits.h is not a file of cgan-export; choose another folder" in done.stderr
    assert (tmp_path / "c" / "digits.h").read_text() == "#define MINE"


def test_a_failed_write_changes_no_file(
    digits_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_c(digits_file, tmp_path / "c")
    (tmp_path / "c" / "digits.c").write_text("/* cgan-export of before */")
    (tmp_path / "c" / "example" / "Makefile").unlink()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    open_file: Any = Path.open

    def fail_for_the_last(path: Path, mode: str = "r", *arguments: object, **more: Any) -> object:
        if mode == "xb" and path.parent.name == "example":
            raise OSError(errno.ENOSPC, "No space left on device")
        return open_file(path, mode, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", fail_for_the_last)
        with pytest.raises(OutputError, match="Makefile: No space left on device; choose"):
            write_c(digits_file, tmp_path / "c")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("digits.onnx", "digits"),
        ("Digits-v2.1.onnx", "Digits_v2_1"),
        ("28x28.onnx", "model_28x28"),
        ("__main__.onnx", "main"),
        ("Ziffern für 雨.onnx", "Ziffern_f_r"),
        ("雨.onnx", "model"),
    ],
)
def test_the_name_is_an_identifier(file: str, name: str) -> None:
    assert c_name(Path(file)) == name
    assert c_files(Path(file), Path("c"))[0] == Path(f"c/{name}.c")


def test_texts_of_the_model_cannot_break_the_source() -> None:
    with ImageGenerator(provider="cpu") as generator:
        info = replace(
            generator.info,
            class_names=('a "b"', "back\\slash", "two\nlines", "Stiefel für 雨", "what??/"),
            dataset="*/ int x; /*",
            recipe={"name": "line\\\n#error"},
        )
    network = read_network(SHIPPED_MODEL.read_bytes())
    values = template_values(Path("*/ digits\n.onnx"), network, info, "0" * 64)
    source, header, *_ = c_texts(values)
    assert source.index("*/") > source.index("--c DIR")
    assert "#error" not in source + header
    start = source.index("class_names[DIGITS_CLASSES] = {\n")
    assert source[start:].splitlines()[1:6] == [
        r'    "a \042b\042",',
        r'    "back\134slash",',
        r'    "two\012lines",',
        r'    "Stiefel f\303\274r \351\233\250",',
        r'    "what\077\077/"',
    ]


def with_initializer(name: str, values: NDArray[Any]) -> bytes:
    """Return the shipped file with another constant and a valid checksum."""
    model = model_graphs.load_graph(SHIPPED_MODEL)
    tensor = model_graphs.tensor(model, name)
    dtype = numpy_helper.to_array(tensor).dtype
    tensor.CopyFrom(numpy_helper.from_array(values.astype(dtype), name))
    return model_graphs.content_of(model)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (
            "noise_weight",
            np.full((64, 258), 0.3) + np.arange(258) / 1000,
            "float32 does not represent the sums",
        ),
        ("layer2_weight", np.ones((258, 784)), "integer arithmetic gives other images"),
    ],
)
def test_a_file_that_is_not_exact_is_rejected(
    call: Command,
    tmp_path: Path,
    name: str,
    values: NDArray[Any],
    message: str,
) -> None:
    (tmp_path / "changed.onnx").write_bytes(with_initializer(name, values))
    done = call("cgan-export", "changed.onnx", "--c", "c")
    assert (done.returncode, done.stdout) == (1, b"")
    assert message in done.stderr.decode()
    assert files_in(tmp_path) == ["changed.onnx"]


def test_a_graph_with_other_names_is_rejected(call: Command, tmp_path: Path) -> None:
    model = model_graphs.load_graph(SHIPPED_MODEL)
    tensor = model_graphs.tensor(model, "layer1_weight")
    (node,) = (node for node in model.graph.node if tensor.name in node.input)
    tensor.name = node.input[0] = "other"
    (tmp_path / "other.onnx").write_bytes(model_graphs.content_of(model))
    done = call("cgan-export", "other.onnx", "--c", "c")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"other.onnx as C: cgan-export --precision int8 did not create it;" in done.stderr


def test_an_int8_file_that_is_not_bit_exact_is_rejected(tmp_path: Path) -> None:
    model = model_graphs.load_graph(SHIPPED_MODEL)
    model.metadata_props.add(key=BIT_EXACT_KEY, value="false")
    path = tmp_path / "static.onnx"
    path.write_bytes(model_graphs.content_of(model))
    with pytest.raises(
        ExportError, match=r"C: it is not bit-exact, .*; export a built-in generator"
    ):
        write_c(path, tmp_path / "c")


def test_bytes_of_the_first_layer_follow_float32_division() -> None:
    """For every sum of a unit with a step of 1/64, the bytes equal those of numpy's float32."""
    scale = np.float32(0.022271648)
    table, weight, thresholds, _ = first_layer(
        np.array([[1 / 64]], np.float32), np.array([[0.5]], np.float32), np.asarray(scale)
    )
    sums = np.arange(-100, 2_000, dtype=np.int32)
    expected = np.rint(sums.astype(np.float32) / np.float32(64) / scale).clip(0, 255)
    assert table.tolist() == [[1]]
    assert weight.tolist() == [[1]]
    np.testing.assert_array_equal(np.searchsorted(thresholds[0], sums, "right"), expected)
