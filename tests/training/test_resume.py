"""A damaged or foreign state is rejected, and model.pt records how it was trained."""

import dataclasses
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from run_results import CPU, RESUME, files, weights

from cgan_training.archive import save_archive
from cgan_training.data import Dataset
from cgan_training.errors import CheckpointError
from cgan_training.model_file import load_model
from cgan_training.recipe import Recipe
from cgan_training.run import RunOptions, read_config, read_metrics, train
from cgan_training.run.checkpoint import CHECKPOINT_NAME, load_checkpoint
from cgan_training.run.config import MAX_CONFIG_BYTES

Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize("damage", ["empty", "truncated", "one bit"])
def test_a_damaged_checkpoint_is_reported_and_the_previous_one_used(
    small_recipe: Recipe,
    digits: Dataset,
    run_dir: Path,
    run_copy: Path,
    damage: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "cgan_training")
    content = bytearray((run_copy / CHECKPOINT_NAME).read_bytes())
    content[len(content) // 2] ^= 1
    size = {"empty": 0, "truncated": -1000, "one bit": None}[damage]
    (run_copy / CHECKPOINT_NAME).write_bytes(content[:size])
    train(small_recipe, digits, run_copy, device=CPU, options=RESUME)
    warning, _, resumed, *_ = caplog.messages
    assert warning.startswith(
        f"{run_copy / CHECKPOINT_NAME} is truncated, damaged or not a checkpoint ("
    )
    assert warning.endswith("); using the checkpoint before it")
    assert resumed == "resumed at epoch 2, step 15"
    assert weights(run_copy) == weights(run_dir)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "cgan-model"}, "is not a checkpoint of cgan-train; "),
        ({"version": 2}, "has checkpoint format 2, but this release reads 1; "),
    ],
)
def test_another_format_is_rejected(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    save_archive({"format": "cgan-checkpoint", "version": 1} | change, tmp_path / CHECKPOINT_NAME)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path)


def test_a_different_recipe_or_dataset_is_rejected(
    small_recipe: Recipe, digits: Dataset, run_dir: Path, tmp_path: Path
) -> None:
    other = dataclasses.replace(small_recipe, learning_rate=1e-3)
    with pytest.raises(CheckpointError, match=r"different recipe \(learning_rate is"):
        train(other, digits, run_dir, device=CPU, options=RESUME)
    fewer = dataclasses.replace(digits, images=digits.images[1:], labels=digits.labels[1:])
    with pytest.raises(
        CheckpointError, match="was trained on other images, labels or class names than"
    ):
        train(small_recipe, fewer, run_dir, device=CPU, options=RESUME)
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*; start a new run"):
        train(small_recipe, digits, tmp_path / "none", device=CPU, options=RESUME)
    assert not (tmp_path / "none").exists()


def replace_metrics(text: str) -> Change:
    return lambda it: it.update(metrics=text)


def set_loss(value: object) -> Change:
    def change(content: dict[str, Any]) -> None:
        first, *others = map(json.loads, content["metrics"].splitlines())
        content["metrics"] = "\n".join(
            map(json.dumps, [first | {"loss_generator": value}, *others])
        )

    return change


def test_a_run_of_20000_epochs_is_resumed(
    small_recipe: Recipe, digits: Dataset, run_copy: Path
) -> None:
    content = torch.load(run_copy / CHECKPOINT_NAME, weights_only=True)
    last = json.loads(content["metrics"].splitlines()[-1])
    lines = [json.dumps(last | {"epoch": epoch}) for epoch in range(1, 20_001)]
    content["metrics"] = "\n".join(lines)
    save_archive(content, run_copy / CHECKPOINT_NAME)
    train(small_recipe, digits, run_copy, device=CPU, options=RESUME)
    assert len(read_metrics(run_copy)) == 20_000


RECIPE_ERROR, STATE_ERROR = "has a different recipe (", "does not fit its recipe ("


@pytest.mark.parametrize(
    ("message", "change"),
    [
        (RECIPE_ERROR, lambda it: it.pop("recipe")),
        (RECIPE_ERROR, lambda it: it.update(recipe=torch.zeros(2))),
        (RECIPE_ERROR, lambda it: it.update(recipe={1: 2, "a": 3, (1, 2): 4})),
        (RECIPE_ERROR, lambda it: it["recipe"].update(seed=torch.tensor([0, 0]))),
        (RECIPE_ERROR, lambda it: it["recipe"].update(more=1)),
        (RECIPE_ERROR, lambda it: it["recipe"].update(seed=False)),
        (RECIPE_ERROR, lambda it: it["recipe"]["generator"].update(hidden=[32])),
        (RECIPE_ERROR, lambda it: it["recipe"]["generator"].update(hidden=torch.tensor([32, 48]))),
        (STATE_ERROR, lambda it: it.pop("metrics")),
        (STATE_ERROR, lambda it: it.update(metrics=5)),
        *(
            (STATE_ERROR, replace_metrics(text))
            for text in ("[]", "5", "[" * 10**5, '{"epoch": 1}')
        ),
        *((STATE_ERROR, set_loss(value)) for value in ("x", None, float("nan"))),
        (STATE_ERROR, lambda it: it.update(started_from=5)),
        (STATE_ERROR, lambda it: it.pop("trainer")),
        (STATE_ERROR, lambda it: it.update(trainer=[1])),
        (STATE_ERROR, lambda it: it["trainer"].update(epoch="x" * 10**6)),
    ],
)
def test_a_checkpoint_with_inconsistent_content_is_rejected(
    small_recipe: Recipe, digits: Dataset, run_copy: Path, message: str, change: Change
) -> None:
    content = torch.load(run_copy / CHECKPOINT_NAME, weights_only=True)
    change(content)
    save_archive(content, run_copy / CHECKPOINT_NAME)  # with correct checksums
    before = files(run_copy)
    with pytest.raises(CheckpointError) as caught:
        train(small_recipe, digits, run_copy, device=CPU, options=RESUME)
    assert files(run_copy) == before
    text = str(caught.value)
    assert message in text
    assert text.endswith("start a new run")
    assert "\n" not in text
    assert len(text) < 600


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "5", "null", "[" * 100_000, "\N{DIGIT ONE}\ud800"),
        *('{"dataset": []}', '{"dataset": {"dataset": 5}}', '{"dataset": {"data_dir": ["x"]}}'),
        *('{"device": "tpu"}', '{"device": 5}', '{"device": ["cpu"]}', '{"tensorboard": "yes"}'),
        *('{"threads": 0}', '{"threads": "2"}', '{"threads": 100000}', '{"threads": true}'),
        *('{"keep_every": -1}', '{"eval_every": 1.5}', '{"recipe_path": 5}'),
        " " * MAX_CONFIG_BYTES + "{}",
    ],
    ids=lambda text: ascii(text[:40]),
)
def test_a_damaged_config_is_rejected(tmp_path: Path, run_dir: Path, text: str) -> None:
    assert read_config(run_dir)["device"] == "cpu"
    (tmp_path / "config.json").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(CheckpointError, match=r"cannot read .*config\.json, or it is damaged; "):
        read_config(tmp_path)


def test_a_config_that_is_a_pipe_is_rejected(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")  # reading it would wait for a writer
    with pytest.raises(CheckpointError, match=r"cannot read .*config\.json, or it is damaged; "):
        read_config(tmp_path)


def test_the_model_records_how_it_was_trained(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path
) -> None:
    options = RunOptions(
        dataset_argument="/a/\udce4/digits", data_dir="/data", recipe_path="/recipes/small.toml"
    )
    train(small_recipe, digits, tmp_path / "whole", device=CPU, options=options)
    facts = load_model(tmp_path / "whole").training
    assert facts["dataset_sha256"] == digits.sha256
    assert facts["dataset_path"] == "/a/\\udce4/digits"
    assert (facts["data_dir"], facts["recipe_path"]) == ("/data", "/recipes/small.toml")
    assert (facts["device"], facts["processes"]) == ("cpu", 1)
    assert facts["threads"] == torch.get_num_threads()
    assert not {"resumed", "stopped_after_seconds", "seconds_limit"} & facts.keys()
    config = read_config(tmp_path / "whole")
    assert config["dataset"]["sha256"] == digits.sha256
    assert config["recipe_path"] == "/recipes/small.toml"


def test_the_model_records_a_time_limit_and_a_resumed_run(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def facts(name: str, **options: Any) -> dict[str, Any]:
        folder = tmp_path / name
        train(small_recipe, digits, folder, device=CPU, options=RunOptions(**options))
        return load_model(folder).training

    limited = facts("limited", seconds_limit=1e-6)
    assert 0 < limited["stopped_after_seconds"] <= limited["seconds"] + 0.1
    assert limited["seconds_limit"] == 1e-6
    resumed = facts("limited", resume=True)
    assert resumed["resumed"] is True
    assert not {"stopped_after_seconds", "seconds_limit"} & resumed.keys()
    assert "resumed" not in facts("whole")
    assert "resumed" not in facts("whole", resume=True)
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    assert facts("whole", resume=True)["resumed"] is True  # by another number of threads
    monkeypatch.undo()
    assert facts("limited", resume=True)["resumed"] is True


def test_a_run_that_continues_with_other_threads_warns(
    small_recipe: Recipe,
    digits: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    train(small_recipe, digits, tmp_path, device=CPU, options=RunOptions(seconds_limit=1e-6))
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    train(small_recipe, digits, tmp_path, device=CPU, options=RESUME)
    (warning,) = (each.message for each in caplog.records if each.levelno == logging.WARNING)
    assert warning.startswith(f"the number of threads changed from {threads} to ")
    assert warning.endswith(f"; use --threads {threads} to avoid that")
