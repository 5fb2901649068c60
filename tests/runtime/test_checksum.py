import hashlib
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from cgan_runtime.errors import InputError, ModelError
from cgan_runtime.generator import SHIPPED_MODEL, ImageGenerator
from cgan_runtime.model_file.checksum import CHECKSUM_BYTES, add_checksum, verify_checksum
from cgan_runtime.model_file.contract import CONTENT_KEY

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def content(tiny_model: Path) -> bytes:
    return tiny_model.read_bytes()


@pytest.fixture
def hash_of_it(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def refusal(content: bytes) -> str:
    with pytest.raises(ModelError) as caught:
        verify_checksum(content, "m.onnx")
    message = str(caught.value)
    assert message.startswith("m.onnx ")
    assert message.endswith("copy or export it again")
    assert "\n" not in message
    return message


def test_onnx_reads_the_seal_as_metadata(content: bytes) -> None:
    entry = onnx.ModelProto.FromString(content).metadata_props[-1]
    assert entry.key == CONTENT_KEY
    assert entry.value == hashlib.sha256(content[:-CHECKSUM_BYTES]).hexdigest()


def test_the_document_says_how_to_check_it_by_hand(tmp_path: Path) -> None:
    document = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^    (tail -c 64 digits\.onnx; .*)$", document, re.MULTILINE)
    (tmp_path / "digits.onnx").write_bytes(SHIPPED_MODEL.read_bytes())
    done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, check=True)
    assert len(done.stdout.split()[0]) == 128  # the same 64 digits twice
    assert done.stdout[:64] == done.stdout[64:128]
    beginning = SHIPPED_MODEL.read_bytes()[-CHECKSUM_BYTES:-64]
    assert f"`{beginning[:4].hex(' ')}`, the key, and `{beginning[-2:].hex(' ')}`" in document
    assert f"The last {CHECKSUM_BYTES} bytes" in document


def test_any_changed_byte_is_told(content: bytes) -> None:
    verify_checksum(content, "m.onnx")
    for place in {*range(0, len(content), 97), *range(len(content) - CHECKSUM_BYTES, len(content))}:
        for change in (1, 128):
            changed = bytearray(content)
            changed[place] ^= change
            refusal(bytes(changed))


@pytest.mark.parametrize("size", [0, 1, CHECKSUM_BYTES - 1, CHECKSUM_BYTES, -CHECKSUM_BYTES, -1])
def test_a_file_cut_short(content: bytes, size: int) -> None:
    assert f"does not end in its {CONTENT_KEY}" in refusal(content[:size])


def test_a_file_that_was_added_to(content: bytes) -> None:
    assert "does not end in its" in refusal(content + b"\x08\x01")
    assert "was changed after" in refusal(
        add_checksum(content)[:-CHECKSUM_BYTES] + content[-CHECKSUM_BYTES:]
    )


def test_a_changed_weight_is_refused(content: bytes, tmp_path: Path) -> None:
    model = onnx.ModelProto.FromString(content)
    weight = next(each for each in model.graph.initializer if each.name == "weight")
    raw = bytearray(weight.raw_data)
    raw[0] ^= 1
    weight.raw_data = bytes(raw)
    path = tmp_path / "changed.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"changed\.onnx was changed after it was exported: its"):
        ImageGenerator(path)


def test_the_file_that_is_expected(content: bytes, hash_of_it: str, tiny_model: Path) -> None:
    for expected in (hash_of_it, hash_of_it.upper()):
        ImageGenerator(tiny_model, "cpu", 1, expect_sha256=expected).close()


def test_a_file_that_is_not_expected(hash_of_it: str, tiny_model: Path) -> None:
    with pytest.raises(ModelError) as caught:
        ImageGenerator(tiny_model, expect_sha256="0" * 64)
    assert f"{tiny_model} is not the file that was expected: its SHA-256 is {hash_of_it};" in str(
        caught.value
    )


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "g" * 64, "²" * 64, "0" * 64 + "\n", 5])
def test_what_is_no_hash(tiny_model: Path, text: str) -> None:
    with pytest.raises(InputError, match="is no SHA-256; give its 64 hexadecimal digits"):
        ImageGenerator(tiny_model, expect_sha256=text)


def test_the_command_takes_it(cgan_run: Command, folder: Path, hash_of_it: str) -> None:
    done = cgan_run("--digit", 3, "--seed", 1, "--expect-sha256", hash_of_it)
    assert (done.returncode, done.stderr) == (0, b"")
    (picture,) = folder.iterdir()
    picture.unlink()
    done = cgan_run("--digit", 3, "--expect-sha256", hash_of_it[::-1])
    assert done.returncode == 1
    assert re.fullmatch(rb"error: .* is not the file that was expected: .*\n", done.stderr)
    assert not list(folder.iterdir())
    done = cgan_run("--digit", 3, "--expect-sha256", "abc")
    assert done.returncode == 2
    assert b"'abc' is no SHA-256; give its 64 hexadecimal digits (see cgan-run" in done.stderr
