"""The checksum at the end of a model file, and the expected hash of the whole file."""

import hashlib
import re
import subprocess
from pathlib import Path

import onnx
import pytest
from commands import Command

from cgan_runtime.errors import InputError, ModelError
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.model_file.checksum import CHECKSUM_BYTES, add_checksum, verify_checksum
from cgan_runtime.model_file.contract import CONTENT_KEY
from cgan_runtime.model_file.reading import SHIPPED_MODEL

ROOT = Path(__file__).parents[2]


@pytest.fixture
def content(tiny_model: Path) -> bytes:
    return tiny_model.read_bytes()


@pytest.fixture
def file_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def error_of(content: bytes) -> str:
    with pytest.raises(ModelError) as caught:
        verify_checksum(content, "m.onnx")
    message = str(caught.value)
    assert message.startswith("m.onnx ")
    assert message.endswith("; copy or export it again")
    assert "\n" not in message
    return message


def test_onnx_reads_the_checksum_as_metadata(content: bytes, file_hash: str) -> None:
    entry = onnx.ModelProto.FromString(content).metadata_props[-1]
    assert entry.key == CONTENT_KEY
    assert entry.value == hashlib.sha256(content[:-CHECKSUM_BYTES]).hexdigest()
    assert verify_checksum(content, "m.onnx") == file_hash


def test_document_explains_how_to_verify_it_by_hand(tmp_path: Path) -> None:
    document = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    ((?:tail|head) -c .*)$", document, re.MULTILINE)
    content = SHIPPED_MODEL.read_bytes()
    (tmp_path / "digits.onnx").write_bytes(content)
    stored, computed = (
        subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, check=True)
        for line in lines
    )
    assert len(stored.stdout.strip()) == 64
    assert stored.stdout.split()[0] == computed.stdout.split()[0]
    prefix = content[-CHECKSUM_BYTES:-64]
    assert f"`{prefix[:4].hex(' ')}`" in document
    assert f"`{prefix[-2:].hex(' ')}`" in document
    assert f" {CHECKSUM_BYTES} bytes" in document


def test_any_changed_byte_is_detected(content: bytes) -> None:
    verify_checksum(content, "m.onnx")
    for place in {*range(0, len(content), 97), *range(len(content) - CHECKSUM_BYTES, len(content))}:
        for change in (1, 128):
            changed = bytearray(content)
            changed[place] ^= change
            error_of(bytes(changed))


@pytest.mark.parametrize("size", [0, 1, CHECKSUM_BYTES - 1, CHECKSUM_BYTES, -CHECKSUM_BYTES, -1])
def test_truncated_file_is_rejected(content: bytes, size: int) -> None:
    assert f"does not end with {CONTENT_KEY}" in error_of(content[:size])


def test_appended_bytes_are_rejected(content: bytes) -> None:
    assert "does not end with" in error_of(content + b"\x08\x01")
    checksum = content[-CHECKSUM_BYTES:]
    assert "was changed after" in error_of(add_checksum(content)[:-CHECKSUM_BYTES] + checksum)


def test_changed_weight_is_rejected(content: bytes, tmp_path: Path) -> None:
    model = onnx.ModelProto.FromString(content)
    weight = next(each for each in model.graph.initializer if each.name == "weight")
    weight.raw_data = bytes([weight.raw_data[0] ^ 1]) + weight.raw_data[1:]
    path = tmp_path / "changed.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"changed\.onnx was changed after its export: the SHA"):
        ImageGenerator(path)


def test_only_the_file_with_the_expected_hash_is_opened(file_hash: str, tiny_model: Path) -> None:
    for expected in (file_hash, file_hash.upper()):
        ImageGenerator(tiny_model, "cpu", 1, expect_sha256=expected).close()
    with pytest.raises(ModelError) as caught:
        ImageGenerator(tiny_model, expect_sha256="0" * 64)
    assert f"{tiny_model} is not the expected file: its SHA-256 is {file_hash};" in str(
        caught.value
    )


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "g" * 64, "²" * 64, "0" * 64 + "\n", 5])
def test_malformed_expected_hash_is_rejected(tiny_model: Path, text: str) -> None:
    with pytest.raises(InputError, match="is not a SHA-256 hash; give 64 hexadecimal digits"):
        ImageGenerator(tiny_model, expect_sha256=text)


def test_command_line_checks_the_hash(cgan_run: Command, folder: Path, file_hash: str) -> None:
    done = cgan_run("--digit", 3, "--seed", 1, "--expect-sha256", file_hash)
    assert (done.returncode, done.stderr) == (0, b"")
    (image,) = folder.iterdir()
    image.unlink()
    done = cgan_run("--digit", 3, "--expect-sha256", file_hash[::-1])
    assert done.returncode == 1
    assert re.fullmatch(rb"error: .* is not the expected file: .*\n", done.stderr)
    assert not list(folder.iterdir())
    done = cgan_run("--digit", 3, "--expect-sha256", "abc")
    assert done.returncode == 2
    assert b"'abc' is not a SHA-256 hash; give 64 hexadecimal digits (see cgan-run" in done.stderr
