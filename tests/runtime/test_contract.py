import ast
import dataclasses
import json
import re
import tracemalloc
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from zlib import compress

import pytest

from cgan_runtime.errors import ModelError
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.model_file import contract
from cgan_runtime.model_file.contract import (
    BATCH,
    CONTENT_KEY,
    CONTRACT_KEY,
    CONTRACT_VERSION,
    IMAGE,
    IR_VERSION,
    LABEL,
    NEWEST_OPSET,
    NOISE,
    OPSET,
    PREFIX,
    Golden,
    ModelInfo,
    Tensor,
    read_info,
    tensors,
)

ROOT = Path(__file__).parents[2]
SOURCE = "some/model.onnx"
KEYS = [
    "class_names",
    "noise_dim",
    "golden",
    "dataset",
    "precision",
    "weights_sha256",
    "recipe",
    "training",
    "versions",
    "quality",
    "verification",
]


def refusal(
    info: ModelInfo,
    metadata: dict[str, str] | None = None,
    inputs: tuple[Tensor, ...] | None = None,
    outputs: tuple[Tensor, ...] | None = None,
) -> str:
    """Return the message that the model is refused with."""
    right = tensors(info.noise_dim, info.height, info.width)
    with pytest.raises(ModelError) as caught:
        read_info(
            info.to_metadata() if metadata is None else metadata,
            right[0] if inputs is None else inputs,
            right[1] if outputs is None else outputs,
            SOURCE,
        )
    message = str(caught.value)
    assert message.startswith(SOURCE)
    assert "\n" not in message
    return message


def test_what_is_written_is_read(info: ModelInfo) -> None:
    metadata = info.to_metadata()
    assert metadata[CONTRACT_KEY] == str(CONTRACT_VERSION) == "1"
    assert all(isinstance(value, str) for value in metadata.values())
    read = read_info(metadata, *tensors(info.noise_dim, info.height, info.width), SOURCE)
    assert read == info
    assert read.classes == 10


def test_text_beyond_ascii_survives(info: ModelInfo) -> None:
    foreign = dataclasses.replace(
        info,
        class_names=("零", "één", 'a "b"\n', *"3456"),
        dataset="große Ziffern",
        recipe={"name": "é"},
    )
    shapes = tensors(info.noise_dim, info.height, info.width)
    assert read_info(foreign.to_metadata(), *shapes, SOURCE) == foreign


def test_keys_that_are_not_known_are_passed_over(info: ModelInfo) -> None:
    metadata = info.to_metadata() | {f"{PREFIX}later": "?", "onnx.infer": "onnxruntime.quant"}
    shapes = tensors(info.noise_dim, info.height, info.width)
    assert read_info(metadata, *shapes, SOURCE) == info


def test_the_metadata_are_those_that_the_contract_lists(info: ModelInfo) -> None:
    assert set(info.to_metadata()) == {CONTRACT_KEY} | {f"{PREFIX}{key}" for key in KEYS}


def test_the_document_lists_the_same_keys(info: ModelInfo) -> None:
    document = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    rows = re.findall(rf"^\| `({re.escape(PREFIX)}\w+)` \|", document, re.MULTILINE)
    assert sorted(rows) == sorted([*info.to_metadata(), CONTENT_KEY])
    for each in (*tensors(1, 1, 1)[0], *tensors(1, 1, 1)[1]):
        assert f"| `{each.name}` |" in document
    text = " ".join(document.split())
    assert f"opset {OPSET} and IR version {IR_VERSION} (opset {NEWEST_OPSET} where" in text


def test_the_file_carries_the_contract(tiny_model: Path, info: ModelInfo) -> None:
    with ImageGenerator(tiny_model, "cpu", threads=1) as generator:
        assert generator.info == info


def test_a_model_without_the_contract(info: ModelInfo) -> None:
    message = refusal(info, metadata={"author": "somebody"})
    assert "not one that cgan-export wrote" in message
    assert message.endswith("export one with cgan-export")


def test_a_newer_contract(info: ModelInfo) -> None:
    message = refusal(info, metadata=info.to_metadata() | {CONTRACT_KEY: "2"})
    assert "follows model contract 2" in message
    assert message.endswith("upgrade cgan-runtime")


def test_a_newer_contract_may_have_other_keys_and_tensors(info: ModelInfo) -> None:
    assert refusal(info, {CONTRACT_KEY: "12"}, (), ()).endswith("upgrade cgan-runtime")


def test_an_older_contract(info: ModelInfo) -> None:
    message = refusal(info, metadata=info.to_metadata() | {CONTRACT_KEY: "0"})
    assert "follows model contract 0, which is older than the 1 that this cgan-runtime" in message
    assert message.endswith("export it again with cgan-export")


@pytest.mark.parametrize("version", ["", "00", "-1", "one", "1.0", "²", "9" * 5000])
def test_a_malformed_version(info: ModelInfo, version: str) -> None:
    message = refusal(info, metadata=info.to_metadata() | {CONTRACT_KEY: version})
    assert re.search("export it again$|upgrade cgan-runtime$", message)


def changed(info: ModelInfo, **golden: object) -> dict[str, str]:
    """Return the metadata with parts of the golden sample changed."""
    metadata = info.to_metadata()
    key = f"{PREFIX}golden"
    return metadata | {key: json.dumps(json.loads(metadata[key]) | golden)}


@pytest.mark.parametrize("noise_dim", [1, 2**31 - 1])
def test_the_most_and_the_least_numbers_of_noise(info: ModelInfo, noise_dim: int) -> None:
    most = dataclasses.replace(info, noise_dim=noise_dim)
    shapes = tensors(noise_dim, info.height, info.width)
    assert read_info(most.to_metadata(), *shapes, SOURCE).noise_dim == noise_dim


@pytest.mark.parametrize("noise_dim", [0, -1, 2**31, 2**31 + 1])
def test_numbers_of_noise_out_of_range(info: ModelInfo, noise_dim: int) -> None:
    metadata = info.to_metadata() | {f"{PREFIX}noise_dim": str(noise_dim)}
    said = f"{noise_dim} is no whole number from 1 to {2**31 - 1}"
    assert said in refusal(info, metadata=metadata)


@pytest.mark.parametrize("seed", [0, 2**64 - 1])
def test_the_last_seed_of_a_golden_sample(info: ModelInfo, seed: int) -> None:
    shapes = tensors(info.noise_dim, info.height, info.width)
    assert read_info(changed(info, seed=seed), *shapes, SOURCE).golden.seed == seed


@pytest.mark.parametrize("seed", [-1, 2**64, 2**64 + 1])
def test_a_seed_out_of_range(info: ModelInfo, seed: int) -> None:
    said = f"{seed} is no whole number from 0 to {2**64 - 1}"
    assert said in refusal(info, metadata=changed(info, seed=seed))


@pytest.mark.parametrize("images", [None, 7, ["AAAA"]])
def test_a_golden_sample_that_is_no_text(info: ModelInfo, images: object) -> None:
    said = refusal(info, metadata=changed(info, images=images))
    assert "ValueError: a golden sample of " in said


def test_a_golden_sample_as_large_as_may_be(
    info: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert contract.MOST_GOLDEN == 67_108_864
    shapes, size = tensors(info.noise_dim, info.height, info.width), len(info.golden.images)
    monkeypatch.setattr(contract, "MOST_GOLDEN", size)
    assert read_info(info.to_metadata(), *shapes, SOURCE) == info
    monkeypatch.setattr(contract, "MOST_GOLDEN", size - 1)
    assert f"a golden sample of {size:,} bytes" in refusal(info)


def test_a_golden_sample_that_is_no_base64(info: ModelInfo) -> None:
    images = json.loads(info.to_metadata()[f"{PREFIX}golden"])["images"]
    for spoilt in (images + "!", f" {images}", images[:-1]):
        assert "Error: " in refusal(info, metadata=changed(info, images=spoilt))


def test_what_a_model_says_of_itself_cannot_be_changed(info: ModelInfo) -> None:
    for frozen in (info, info.golden):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(frozen, dataclasses.fields(frozen)[0].name, 1)


def test_text_is_written_as_it_is_read(info: ModelInfo) -> None:
    foreign = dataclasses.replace(
        info, class_names=("één", *info.class_names[1:]), recipe={"name": "é"}
    )
    metadata = foreign.to_metadata()
    assert "één" in metadata[f"{PREFIX}class_names"]
    assert metadata[f"{PREFIX}recipe"] == '{"name": "é"}'


def test_half_a_character_is_refused(info: ModelInfo) -> None:
    metadata = info.to_metadata() | {f"{PREFIX}recipe": '{"name": "\\ud800"}'}
    assert "UnicodeEncodeError" in refusal(info, metadata=metadata)
    whole = info.to_metadata() | {f"{PREFIX}recipe": '{"name": "\\ud83d\\ude00"}'}
    shapes = tensors(info.noise_dim, info.height, info.width)
    assert read_info(whole, *shapes, SOURCE).recipe == {"name": "\U0001f600"}


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_key_is_named(info: ModelInfo, key: str) -> None:
    metadata = info.to_metadata()
    del metadata[f"{PREFIX}{key}"]
    message = refusal(info, metadata)
    assert f"{PREFIX}{key}" in message
    assert message.endswith("export it again with cgan-export")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("class_names", "zero, one"),
        ("class_names", "10"),
        ("class_names", "[]"),
        ("class_names", '"0123456789"'),
        ("noise_dim", "six"),
        ("noise_dim", "6.0"),
        ("noise_dim", "0"),
        ("noise_dim", "-6"),
        ("golden", ""),
        ("golden", "null"),
        ("golden", "{}"),
        ("golden", '{"seed": null, "labels": [0], "images": ""}'),
        ("golden", '{"seed": 0, "labels": 5, "images": ""}'),
        ("golden", '{"seed": 0, "labels": [0], "images": 5}'),
        ("golden", '{"seed": 0, "labels": [0], "images": "é"}'),
        ("golden", '{"seed": 0, "labels": [0], "images": "AAAA"}'),
        ("golden", '{"seed": 1.5, "labels": [0], "images": ""}'),
        ("golden", '{"seed": Infinity, "labels": [0], "images": ""}'),
        ("golden", '{"seed": -1, "labels": [0], "images": ""}'),
        ("golden", '{"seed": 18446744073709551616, "labels": [0], "images": ""}'),
        ("golden", '{"seed": 0, "labels": [10], "images": ""}'),
        ("golden", '{"seed": 0, "labels": [true], "images": ""}'),
        ("golden", '{"seed": 0, "labels": [], "images": ""}'),
        ("golden", f'{{"seed": 0, "labels": [{"0, " * 10**6}0], "images": ""}}'),
        ("noise_dim", "\N{FULLWIDTH DIGIT NINE}"),
        ("noise_dim", "6_4"),
        ("noise_dim", "9" * 5000),
        ("class_names", '["\\ud800"]'),
        ("class_names", "[" * 100_000),
        ("quality", '{"label_accuracy": NaN}'),
        ("quality", '[["label_accuracy", 1]]'),
        ("training", '{"a":' * 100_000),
        ("recipe", "{"),
        ("recipe", "[1]"),
        ("training", "3"),
        ("versions", "null"),
        ("quality", "fine"),
    ],
)
def test_malformed_metadata(info: ModelInfo, key: str, value: str) -> None:
    message = refusal(info, metadata=info.to_metadata() | {f"{PREFIX}{key}": value})
    assert "export it again" in message
    assert len(message) < 300


def test_a_golden_sample_that_is_a_bomb_is_not_unpacked(info: ModelInfo) -> None:
    """A hundred megabytes of one byte, which pack to a thousandth."""
    packed = b64encode(compress(bytes(2**27), 1)).decode()
    golden = {"seed": 0, "labels": [0], "images": packed}
    tracemalloc.start()
    message = refusal(info, info.to_metadata() | {f"{PREFIX}golden": json.dumps(golden)})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "golden sample of the wrong size" in message
    assert most < 10e6


@pytest.mark.parametrize("size", [0, 1, 4 * 12 * 9 - 1, 4 * 12 * 9 + 1, 4 * 28 * 28])
def test_a_golden_sample_of_the_wrong_size(info: ModelInfo, size: int) -> None:
    golden = Golden(info.golden.seed, info.golden.labels, bytes(size))
    message = refusal(info, dataclasses.replace(info, golden=golden).to_metadata())
    assert "golden sample of the wrong size" in message
    assert message.endswith("export it again with cgan-export")


def test_a_golden_sample_cut_short(info: ModelInfo) -> None:
    packed = compress(info.golden.images)[:-9]
    golden = {
        "seed": info.golden.seed,
        "labels": info.golden.labels,
        "images": b64encode(packed).decode(),
    }
    metadata = info.to_metadata() | {f"{PREFIX}golden": json.dumps(golden)}
    assert "malformed contract metadata" in refusal(info, metadata)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("input", lambda each: each._replace(name="z")),
        ("input", lambda each: each._replace(type="tensor(double)")),
        ("input", lambda each: each._replace(shape=(BATCH, 7))),
        ("input", lambda each: each._replace(shape=(BATCH,))),
        ("input", lambda each: each._replace(shape=(1, 6))),
        ("input", lambda each: each._replace(shape=(None, 6))),
        ("input", lambda each: each._replace(shape=("n", 6))),
        ("output", lambda each: each._replace(type="tensor(float)")),
        ("output", lambda each: each._replace(shape=(BATCH, 3, 12, 9))),
        ("output", lambda each: each._replace(shape=(1, 1, 12, 9))),
    ],
)
def test_a_tensor_that_differs(
    info: ModelInfo, kind: str, change: Callable[[Tensor], Tensor]
) -> None:
    (noise, label), (image,) = tensors(info.noise_dim, info.height, info.width)
    if kind == "input":
        noise = found = change(noise)
    else:
        image = found = change(image)
    message = refusal(info, inputs=(noise, label), outputs=(image,))
    shape = ", ".join(map(str, found.shape))
    assert f"its {kind} is {found.name} {found.type} [{shape}]" in message
    assert "promised is" in message
    assert message.endswith("export it again with cgan-export")


@pytest.mark.parametrize(
    "change",
    [
        lambda each: each._replace(name="picture"),
        lambda each: each._replace(shape=(BATCH, 12, 9)),
        lambda each: each._replace(shape=(BATCH, 1, "height", 9)),
        lambda each: each._replace(shape=(BATCH, 1, 12, None)),
    ],
)
def test_an_output_without_a_size(info: ModelInfo, change: Callable[[Tensor], Tensor]) -> None:
    _, (image,) = tensors(info.noise_dim, info.height, info.width)
    message = refusal(info, outputs=(change(image),))
    assert f"no output {IMAGE!r} of a fixed height and width" in message
    assert message.endswith("export it again with cgan-export")


def test_tensors_too_many_too_few_or_out_of_order(info: ModelInfo) -> None:
    (noise, label), (image,) = tensors(info.noise_dim, info.height, info.width)
    for inputs in ((noise,), (label, noise), (noise, label, Tensor("more", "tensor(float)", ()))):
        assert "its input is" in refusal(info, inputs=inputs)
    more = image._replace(name="more")
    assert "its output is" in refusal(info, outputs=(image, more))


def sources(*packages: str) -> list[Path]:
    found = [
        path
        for package in packages
        for path in sorted((ROOT / package / "src").rglob("*.py"))
        if path.name != "contract.py"
    ]
    assert len(found) > len(packages)
    return found


@pytest.mark.parametrize(
    "path", sources("runtime", "export"), ids=lambda path: str(path.relative_to(ROOT))
)
def test_only_the_contract_spells_a_name_of_the_wire(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not [text for text in texts if text in (NOISE, LABEL, IMAGE)]
    assert not [text for text in texts if text.startswith(PREFIX)]
