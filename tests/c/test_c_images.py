"""The generated C code gives the same images as ONNX Runtime with every compiler."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from int8_networks import NETWORKS, Images, make_network
from platforms import SEED, START
from requantization import compare, compile_requantization, onnxruntime_requantization

from cgan_export.targets.c.source import encoded_scales, write_c
from cgan_runtime import ImageGenerator
from cgan_runtime.model_file.reading import SHIPPED_MODEL

HERE = Path(__file__).parent
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
SANITIZERS = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
CORTEX = ["arm-none-eabi-gcc", "-mthumb", "--specs=rdimon.specs", "-T", str(HERE / "mps2.ld")]
QEMU = ["qemu-system-arm", "-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none"]
WEBASSEMBLY = ["clang", "--target=wasm32", "-std=c99", "-O2", "-ffreestanding", "-mbulk-memory"]
WEBASSEMBLY += ["-nostdlib", "-Wl,--no-entry,--export=__heap_base"]
WEBASSEMBLY += ["-Wl,--export=net_generate,--export=net_selftest"]


def compiled(source: Path, target: Path, command: list[str]) -> Path:
    """Compile net.c with images.c; skip the test if the compiler is not installed."""
    require(command[0])
    files = [HERE / "images.c", source]
    subprocess.run([*command, "-I", source.parent, "-o", target, *files], check=True)
    return target


def require(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def assert_images(command: Sequence[object], expected: Images) -> None:
    arguments = [*map(str, command)]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, check=True, timeout=600)
    images = np.frombuffer(done.stdout, np.uint8).reshape(expected.shape)
    np.testing.assert_array_equal(images, expected)


TWO_NETWORKS = ("shipped", "convolutional, doubled twice, cropped, RGB")
OTHER_NETWORKS = [kind for kind in NETWORKS if kind not in TWO_NETWORKS]
COMPILATIONS = [
    *product(TWO_NETWORKS, ("gcc", "clang"), (("-O0",), ("-O3",), SANITIZERS)),
    *product(OTHER_NETWORKS, ["gcc"], (("-O3",), SANITIZERS)),  # their shapes are new
]


@pytest.mark.parametrize(("kind", "compiler", "options"), COMPILATIONS)
def test_compilers_give_the_bytes_of_onnxruntime(
    tmp_path: Path, kind: str, compiler: str, options: tuple[str, ...]
) -> None:
    network = make_network(kind)
    source = network.write_c(tmp_path / "net")
    program = compiled(source, tmp_path / "images", [compiler, *WARNINGS, *options])
    count = 10_000 if (kind, options) == ("shipped", ("-O3",)) else 1000
    images = network.generate(SEED, START, count)
    assert images.std() > 2
    assert_images([program, SEED, START, count], images)


@pytest.mark.parametrize(
    ("compiler", "options"),
    [
        ("gcc", ["-O0"]),
        ("gcc", ["-O3", "-march=native"]),
        ("arm-none-eabi-gcc", ["-mthumb", "-mcpu=cortex-m4", "-O0"]),
    ],
)
@pytest.mark.parametrize("kind", TWO_NETWORKS)
def test_the_header_states_the_memory(
    tmp_path: Path, kind: str, compiler: str, options: list[str]
) -> None:
    require(compiler)
    source = make_network(kind).write_c(tmp_path / "net")
    command = [compiler, *options, "-std=c99", "-fstack-usage", "-c", str(source), "-o", "net.o"]
    subprocess.run(command, cwd=tmp_path, check=True)
    lines = [each.split("\t") for each in (tmp_path / "net.su").read_text().splitlines()]
    frames = {place.rpartition(":")[2]: int(size) for place, size, _ in lines}
    # These three functions return before net_generate() calls the others.
    returned = sum(frames.get(each, 0) for each in ("run_first_layer", "make_noise", "philox"))
    stack = sum(frames.values()) - frames["net_selftest"] - returned
    header = source.with_suffix(".h").read_text()
    constants, bound = (
        int(re.findall(rf"NET_{name}_BYTES (\d+)", header)[0]) for name in ("CONSTANT", "STACK")
    )
    assert 0.6 * bound < stack <= bound
    size = [compiler.replace("gcc", "size"), "-A", "net.o"]
    sections = subprocess.check_output(size, cwd=tmp_path, text=True)
    stored = sum(map(int, re.findall(r"(?m)^\.rodata\S*\s+(\d+)", sections)))
    assert constants <= stored < constants + 1000


@pytest.mark.parametrize("kind", TWO_NETWORKS)
@pytest.mark.parametrize(
    ("compiler", "emulator"),
    [
        ("arm-linux-gnueabihf-gcc", "qemu-arm-static"),
        ("s390x-linux-gnu-gcc", "qemu-s390x-static"),  # big endian
    ],
)
def test_other_processors_give_the_same_bytes(
    tmp_path: Path, kind: str, compiler: str, emulator: str
) -> None:
    require(emulator)
    network = make_network(kind)
    source = network.write_c(tmp_path / "net")
    program = compiled(source, tmp_path / "images", [compiler, *WARNINGS, "-O2", "-static"])
    command = [emulator, program, str(SEED), str(START), "500"]
    assert_images(command, network.generate(SEED, START, 500))


@pytest.mark.parametrize("kind", TWO_NETWORKS)
@pytest.mark.parametrize("processor", ["cortex-m4", "cortex-m0plus"])
def test_a_cortex_m_gives_the_same_bytes(tmp_path: Path, kind: str, processor: str) -> None:
    require("qemu-system-arm")
    network = make_network(kind)
    source = network.write_c(tmp_path / "net")
    command = [*CORTEX, f"-mcpu={processor}", "-O2", str(HERE / "mps2.c")]
    program = compiled(source, tmp_path / "images.elf", command)
    arguments = ",".join(f"arg={each}" for each in ("images", SEED, START, 200))
    options = ["-semihosting-config", f"enable=on,target=native,{arguments}", "-kernel", program]
    assert_images([*QEMU, *options], network.generate(SEED, START, 200))


def test_webassembly_gives_the_same_bytes(tmp_path: Path) -> None:
    for program in ("wasm-ld", "clang", "node"):
        require(program)
    network = make_network("shipped")
    source = network.write_c(tmp_path / "net")
    subprocess.run([*WEBASSEMBLY, "-o", tmp_path / "net.wasm", source], check=True)
    command = ["node", HERE / "images.mjs", tmp_path / "net.wasm", SEED, START, 500, 10, 28 * 28]
    assert_images(command, network.generate(SEED, START, 500))


def test_the_last_index_has_an_image(tmp_path: Path) -> None:
    network = make_network("perceptron, 4 layers")
    program = compiled(network.write_c(tmp_path / "net"), tmp_path / "images", ["gcc", "-O1"])
    assert_images([program, "0", str(2**63 - 1), "1"], network.generate(0, 2**63 - 1, 1))


def test_a_changed_weight_fails_the_selftest(tmp_path: Path) -> None:
    source = make_network("perceptron, 4 layers").write_c(tmp_path / "net")
    text = source.read_text()
    at = text.index("\n", text.index("label_table[]")) + 1
    source.write_text(text[:at] + "1" + text[at:].lstrip("-"))
    program = compiled(source, tmp_path / "images", ["gcc", "-O1"])
    assert subprocess.run([program, "0", "0", "1"], check=False).returncode == 1


def test_requantization_equals_that_of_onnxruntime(tmp_path: Path) -> None:
    """Every sum of a few outputs is compared; tests/c/requantization.py compares all outputs."""
    require("gcc")
    counts = np.array(list(compare(SHIPPED_MODEL, tmp_path, step=250)))
    assert counts[:, 0].sum() > 1_000_000
    assert counts[:, 1].sum() == 0


def test_requantization_of_extreme_scales_and_sums(tmp_path: Path) -> None:
    """Scales from 2**-70 to 2**20, and sums that float32 rounds."""
    require("gcc")
    c_code, onnx_runtime = (
        compile_requantization(SHIPPED_MODEL, tmp_path),
        onnxruntime_requantization(),
    )
    rng = np.random.default_rng(0)
    scales = np.ldexp(rng.uniform(1, 2, 182), np.arange(-70, 21).repeat(2)).astype(np.float32)
    encoded = encoded_scales(scales)
    for scale, code in zip(scales, encoded, strict=True):
        half_steps = (np.arange(-130, 260) + 0.5) / scale
        limits = np.array([-(2**31), -(2**24), 0, 2**24, 2**31 - 40])
        starts = np.concatenate([half_steps, limits]).clip(-(2**31), 2**31 - 40).astype(int) - 5
        for zero in (0, 128):
            sums = (starts.clip(-(2**31))[:, None] + np.arange(12)).astype(np.int32)
            actual = [c_code(int(code), zero, int(first), 12) for first in sums[:, 0]]
            expected = onnx_runtime(sums.ravel(), scale, zero).reshape(sums.shape)
            np.testing.assert_array_equal(np.stack(actual), expected, str(scale))


def make_example(kind: str, folder: Path) -> Path:
    """Compile the example program that is generated beside net.c."""
    require("gcc")
    example = make_network(kind).write_c(folder / "net").parent / "example"
    subprocess.run(["make", "-s", "net", "CC=gcc"], cwd=example, check=True)
    return example / "net"


@pytest.mark.parametrize(
    ("kind", "header"), [("shipped", b"P5\n28 28\n255\n"), ("perceptron, RGB", b"P6\n9 6\n255\n")]
)
def test_the_example_program_writes_a_picture(tmp_path: Path, kind: str, header: bytes) -> None:
    picture = subprocess.check_output([make_example(kind, tmp_path), "0", "5", "7"])
    image = make_network(kind).generate(5, 7, 1)[0]
    assert picture == header + image.transpose(1, 2, 0).tobytes()


def test_the_example_program_reports_errors(tmp_path: Path) -> None:
    program = make_example("shipped", tmp_path)
    for arguments in (["99"], ["three"], [""], ["0", "-1"], ["0", "0", "1x"], ["0"] * 4):
        wrong = subprocess.run([program, *arguments], capture_output=True, check=False)
        assert (wrong.returncode, wrong.stdout) == (2, b""), arguments
        assert wrong.stderr.startswith(b"error: LABEL must be 0 to "), arguments
    with Path("/dev/full").open("wb") as full:
        failed = subprocess.run([program], stdout=full, stderr=subprocess.PIPE, check=False)
    assert failed.returncode == 1
    assert failed.stderr == b"error: cannot write the image: No space left on device\n"


def test_a_rust_program_generates_the_same_image(tmp_path: Path) -> None:
    require("rustc")
    require("gcc")
    write_c(SHIPPED_MODEL, tmp_path)
    subprocess.run(["gcc", "-c", "digits.c", "-o", "digits.o"], cwd=tmp_path, check=True)
    main = HERE.parents[1] / "examples" / "rust" / "main.rs"
    subprocess.run(
        ["rustc", "--edition", "2021", main, "-C", "link-arg=digits.o"], cwd=tmp_path, check=True
    )
    done = subprocess.run([tmp_path / "main", "3", "7"], stdout=subprocess.PIPE, check=True)
    image = ImageGenerator().generate(3, seed=7)[0, 0]
    lines = ["".join(" .:-=+*%@"[pixel // 29] for pixel in row) for row in image]
    assert done.stdout.decode().splitlines() == lines
    for arguments in (["10"], [str(2**32 + 3)], ["x"], ["3", "x"], ["3", "7", "9"]):
        wrong = subprocess.run([tmp_path / "main", *arguments], capture_output=True, check=False)
        assert (wrong.returncode, wrong.stdout) == (2, b"")
        assert wrong.stderr.startswith(b"error: ")
