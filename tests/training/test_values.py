"""Values of every kind for every option and key: the documented error, or what was asked for.

CGAN_EXAMPLES=100 tries a hundred times as many, and other ones each time.
"""

import json
import os
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trying import LETTERS, Call, Done, examples

from cgan_training import data
from cgan_training.data import Dataset, load_dataset
from cgan_training.errors import CheckpointError, DatasetError, ModelFileError, RecipeError
from cgan_training.model_file import load_model
from cgan_training.networks import Generator
from cgan_training.pictures.curves import curves
from cgan_training.recipe.schema import Recipe, load_recipe, recipe_from
from cgan_training.run import artifacts, read_config

SAID = re.compile(rb"error: [^\n]+")


def harmless(text: str) -> bool:
    """Whether a text is no number that takes gigabytes, or a thousand threads, or a network."""
    try:
        return not 40 < int(text) < 2**31
    except ValueError:
        return text.casefold() not in (*data.DATASETS, "--debug")


ODD = st.sampled_from(
    [
        *("", " ", "-", "--", "-1", "0", "1", " 1", "+1", "1.5", "1e3", "nan", "inf", "-inf", "-0"),
        *("1e-320", "1e400", "0x10", "1_0", "٣", "9" * 30, str(2**31), str(2**63 - 1), str(2**63)),
        *("\n", "\udcff", "None", "true", "cpu", "cuda", "mps", "%s", "{}", "$x$", "\x1b[31m"),
        *(
            ".",
            "..",
            "/",
            "none",
            "none/",
            "file",
            "folder",
            "file.toml",
            "n" * 300,
            "~",
            "/dev/null",
        ),
    ]
)
# Hypothesis tries texts of our sources too: the word for tracebacks is not for a value.
WORDS = (ODD | st.text(LETTERS, max_size=9)).filter(harmless)
OPTIONS = {
    "--recipe": st.sampled_from(["file.toml", "none.toml", "none.json", "folder.toml"]) | WORDS,
    "--run-dir": WORDS,
    "--resume": WORDS,
    "--dataset": st.sampled_from(["./folder", "folder", "none/", "OPTDIGITS"]) | WORDS,
    "--data-dir": WORDS,
    "--epochs": st.integers(-1, 3).map(str) | WORDS,
    "--precision": st.sampled_from(["fp32", "bf16", "auto", "FP32"]) | WORDS,
    "--seed": st.integers(-1, 2**64).map(str) | WORDS,
    "--minutes": st.floats().map(str) | WORDS,
    "--checkpoint-minutes": st.floats().map(str) | WORDS,
    "--keep-every": st.integers(-1, 3).map(str) | WORDS,
    "--eval-every": st.integers(-1, 3).map(str) | WORDS,
    "--cache-dir": WORDS,
    "--device": st.sampled_from(["cpu", "auto", "cuda", "mps", "cuda:9"]) | WORDS,
    "--threads": st.sampled_from(["1", "2", "1025"]) | ODD.filter(harmless),
}


def lines(most: int, **chosen: st.SearchStrategy[str]) -> Any:
    """Return command lines of some of the options, each with a value."""
    pairs = [st.tuples(st.just(key), values) for key, values in (chosen or OPTIONS).items()]
    return st.lists(st.one_of(pairs), max_size=most).map(
        lambda some: [word for pair in some for word in pair]
    )


@pytest.fixture
def place(tmp_path: Path, call: Call, small_toml: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands work; what takes long and fails never is done once."""
    folder = tmp_path / "outer" / "inner"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    for name in ("HOME", "CGAN_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "outer"))
    monkeypatch.setattr(data, "load_dataset", cache(load_dataset))
    drawn = curves([], "")
    monkeypatch.setattr(artifacts, "curves", lambda _metrics, _title: drawn)
    return folder


def cleared(place: Path) -> dict[str, bytes]:
    """Let the place be as at first; return what lies there."""
    for path in (*place.parent.iterdir(), *place.iterdir()):
        if path != place:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (place / "folder").mkdir()
    (place / "folder.toml").mkdir()
    (place / "file").write_text("old")
    (place / "file.toml").write_text("old")
    return files(place)


def files(place: Path) -> dict[str, bytes]:
    """Return what lies in the place, and beside it."""
    found = sorted(place.parent.rglob("*"))
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in found}


def require_plain(done: Done) -> bool:
    """Check how a command ended; return whether it did what it was asked for."""
    assert b"Traceback" not in done.stderr
    if done.returncode == 0:
        assert b"error:" not in done.stderr
        return True
    assert done.returncode in (1, 2)
    assert done.stdout == b""
    *notes, last = done.stderr.removesuffix(b"\n").split(b"\n")
    assert SAID.fullmatch(last), done.stderr
    assert not [line for line in notes if b"rror" in line]
    return False


@examples(45)
@given(words=lines(3), listed=st.booleans())
def test_every_option_of_cgan_train(
    call: Call, place: Path, small_toml: Path, words: list[str], listed: bool
) -> None:
    before = cleared(place)
    usual = ["--recipe", str(small_toml), "--dataset", "optdigits", "--threads", "1"]
    done = call(
        "cgan-train", *usual, *words, "--dry-run", *["--list-recipes"] * (listed and not words)
    )
    require_plain(done)
    assert files(place) == before


RUNS = {
    key: OPTIONS[key] for key in ("--minutes", "--checkpoint-minutes", "--keep-every", "--seed")
}


@examples(7)
@given(words=lines(2, **RUNS), name=st.sampled_from(["run", "a/b/run", "$x$ \udcff\n"]))
def test_runs_that_are_begun(
    call: Call, place: Path, small_toml: Path, words: list[str], name: str
) -> None:
    before = cleared(place)
    usual = [
        "--recipe",
        str(small_toml),
        "--dataset",
        "optdigits",
        "--epochs",
        "1",
        "--threads",
        "1",
    ]
    done = call("cgan-train", *usual, "--run-dir", name, *words)
    if not require_plain(done):
        assert files(place) == before
        return
    assert done.stdout == os.fsencode(f"{name}/model.pt\n")
    load_model(place / name)
    read_config(place / name)  # which --resume believes


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--minutes", "nan"),  # of which no comparison holds: it would never be up
        ("--checkpoint-minutes", "nan"),
        ("--keep-every", str(2**31)),  # of which config.json would hold what --resume refuses
        ("--eval-every", str(2**31)),
        ("--epochs", str(2**31)),
    ],
)
def test_numbers_beyond_all_sense(
    call: Call, place: Path, small_toml: Path, option: str, value: str
) -> None:
    before = cleared(place)
    done = call("cgan-train", "--recipe", str(small_toml), "--dataset", "optdigits", option, value)
    assert not require_plain(done)
    assert done.returncode == 2
    assert files(place) == before


# The API.

NUMBERS = (
    st.integers(-2, 40)
    | st.sampled_from(
        [2**20, 2**20 + 1, 2**31, 2**63 - 1, 2**63, 2**64, 10**30, 10**400, -(10**30)]
    )
    | st.floats()
)
BARE = st.none() | st.booleans() | NUMBERS | st.text(max_size=4) | st.just("\udcff")
LISTS = st.lists(BARE | st.lists(BARE, max_size=2), max_size=3)
PLAIN = BARE | LISTS | st.dictionaries(st.text(max_size=4), BARE | LISTS, max_size=2)
KEYS = st.sampled_from(
    [
        *("name", "noise_dim", "batch_size", "epochs", "learning_rate", "betas", "seed"),
        *("epoch_images", "augment", "decay", "precision", "average", "generator", "loss"),
        *("discriminator", "generator.kind", "generator.hidden", "generator.channels", "more"),
        *("generator.batch_norm", "generator.convolutions", "discriminator.hidden", "loss.r1"),
        *("discriminator.channels", "discriminator.leaky_slope", "loss.r1_every", "loss.kind"),
        *("discriminator.minibatch_deviation", "discriminator.deviation_fades", "loss.classify"),
        *("noise_scale", "loss.read_noise", "restarts", "rare_ink"),
    ]
)


def changed(recipe: Recipe, key: str, value: Any) -> dict[str, Any]:
    """Return a recipe's values with another one, or (at "missing") without one."""
    values = json.loads(json.dumps(recipe.to_dict()))
    table, _, last = key.rpartition(".")
    place = values[table] if table else values
    if value == "missing":
        place.pop(last, None)
    else:
        place[last] = value
    return values  # type: ignore[no-any-return]


@examples(500)
@given(
    name=st.sampled_from(["edge", "seed"]),
    key=KEYS,
    value=NUMBERS | PLAIN | st.just("missing") | st.lists(NUMBERS, max_size=3),
)
def test_every_value_of_a_recipe(name: str, key: str, value: Any) -> None:
    try:
        recipe = recipe_from(changed(load_recipe(name), key, value), "given")
    except RecipeError:
        return
    text = json.dumps(recipe.to_dict(), ensure_ascii=False, allow_nan=False)
    text.encode()
    assert recipe_from(json.loads(text), "again") == recipe
    small = recipe.noise_dim <= 1000 and all(
        number <= 1000
        for each in recipe.generator.to_dict().values()
        for number in (each if isinstance(each, list) else [each])
        if isinstance(number, int)
    )
    if small:
        Generator(recipe.generator, recipe.noise_dim, 10, 28, 28)


@examples(150)
@given(
    content=st.binary(max_size=30)
    | st.text(max_size=30).map(str.encode)
    | PLAIN.map(lambda value: json.dumps({"recipe": value}).encode())
    | st.sampled_from(
        [b"[" * 100_000, b"a = " + b"[" * 100_000, b'{"recipe": ' + b"9" * 5000, b"\xff"]
    )
    | st.sampled_from(
        [b"noise_dim = 1e999", b"a = 1979-05-27", b"[[generator]]", b"generator = 1"]
    ),
    ending=st.sampled_from([".toml", ".json", ".TOML", "", ".toml\0"]),
)
def test_every_recipe_file(tmp_path: Path, content: bytes, ending: str) -> None:
    if "\0" not in ending:
        (tmp_path / f"r{ending}").write_bytes(content)
    with pytest.raises(RecipeError):
        load_recipe(str(tmp_path / f"r{ending}"))


NAMES = WORDS | st.sampled_from(["\0", "a/\0", "n" * 5000, "x/" * 3000, "\udcff/", "file/x"])


@examples(100)
@given(name=NAMES, data_dir=NAMES, train=st.booleans())
def test_every_name_of_a_data_set(place: Path, name: str, data_dir: str, train: bool) -> None:
    cleared(place)
    with pytest.raises(DatasetError):
        load_dataset(name, Path(data_dir), train=train)


@examples(60)
@given(path=NAMES)
def test_every_path_of_a_model_or_run(place: Path, path: str) -> None:
    cleared(place)
    with pytest.raises(ModelFileError):
        load_model(Path(path))
    with pytest.raises(CheckpointError):
        read_config(Path(path))


def test_a_data_set_in_a_folder_of_any_name(tmp_path: Path, digits: Dataset) -> None:
    """A model takes its name, and JSON takes no halves of letters."""
    folder = tmp_path / "\udcff\n$"
    folder.mkdir()
    for name, tensor, kind in (
        ("images-idx3", digits.images[:9, 0], 3),
        ("labels-idx1", digits.labels[:9], 1),
    ):
        head = bytes([0, 0, 8, kind]) + b"".join(n.to_bytes(4, "big") for n in tensor.shape)
        (folder / f"train-{name}-ubyte").write_bytes(head + tensor.byte().numpy().tobytes())
    assert load_dataset(f"{folder}/", tmp_path)[0].name == "--$"
