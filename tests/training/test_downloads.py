"""Downloads by torchvision: their progress, why they fail, and torchvision without operators."""

import gc
import importlib
import logging
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest
import torch

from cgan_training.data import load_dataset
from cgan_training.data.sources import download
from cgan_training.data.sources.download import DownloadError, import_torchvision_datasets
from cgan_training.data.sources.torchvision_sets import SETS
from cgan_training.errors import DatasetError


@pytest.mark.parametrize(("level", "shown"), [(logging.INFO, "100%"), (logging.WARNING, "")])
def test_a_download_shows_its_progress_if_progress_is_logged(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    level: int,
    shown: str,
) -> None:
    caplog.set_level(level, "cgan_training")

    def show_progress(*_: object, **__: object) -> None:
        sys.stderr.write("100%")

    monkeypatch.setattr(download, "torchvision_class", lambda _: show_progress)
    download.download("MNIST", "MNIST", tmp_path, tmp_path, "the files")
    assert capsys.readouterr().err == shown


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("auto", "MNIST"),
        ("auto", "MNIST/raw"),
        ("fashion-mnist", "FashionMNIST/raw"),
        ("cifar10", "cifar-10-batches-py"),
    ],
)
def test_the_error_about_a_data_dir_below_the_root_names_the_root(
    tmp_path: Path, name: str, inside: str
) -> None:
    folder = tmp_path / "my data" / inside
    (tmp_path / "my data" / inside.partition("/")[0] / "raw").mkdir(parents=True)
    with pytest.raises(DatasetError, match="is below the root folder of") as caught:
        load_dataset(name, folder)
    assert str(caught.value).endswith(f"--data-dir '{tmp_path / 'my data'}'")


class Answers(BaseHTTPRequestHandler):
    """Answers with the error or the content that the first part of the path names."""

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        if kind.isdecimal():
            self.send_error(int(kind), "\x1b[2Jno" if kind == "503" else None)
            return
        content = b" <!doctype html>" if kind == "page" else b"\x1f\x8b"
        self.send_response(200)
        self.send_header("Content-Length", "16")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # urllib's errors hold sockets open
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://{}/407/", "HTTP Error 407: Proxy Authentication Required"),
        ("http://{}/503/", r"HTTP Error 503: \x1b[2Jno"),
        (
            "http://{}/page/",
            "the server sent a web page instead of the file, perhaps a login page",
        ),
        ("http://{}/half/", "the server sent an incomplete or different file"),
        ("https://{}/", "[SSL: WRONG_VERSION_NUMBER] wrong version number"),
        ("http://127.0.0.1:9/", "Connection refused"),
        ("http://nothing.invalid/", "[Errno "),
        ("unknown://x/", "unknown url type: unknown"),
    ],
)
def test_a_failed_download_states_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, url: str, reason: str
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    dataset_class = getattr(import_torchvision_datasets(), SETS["mnist"].class_name)
    monkeypatch.setattr(dataset_class, "mirrors", [url.format(server)] * 2)
    with pytest.raises(DownloadError) as caught:
        load_dataset("mnist", tmp_path)
    message = str(caught.value)
    assert message.count(reason) == 1
    assert message.isprintable()
    assert len(message) < 600
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    del caught
    gc.collect()


@pytest.mark.parametrize("message", ["", "operator torchvision::nms does not exist", "other"])
def test_operators_are_declared_if_the_import_misses_them(
    monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    datasets = ModuleType("torchvision.datasets")
    errors = [RuntimeError(message)] if message else []
    declared: list[str] = []

    class Library:
        def __init__(self, *_: str) -> None:
            pass

        def define(self, schema: str) -> None:
            declared.append(schema.partition("(")[0])

    def import_module(_: str) -> ModuleType:
        if errors:
            raise errors.pop()
        return datasets

    monkeypatch.setattr(importlib, "import_module", import_module)
    monkeypatch.setattr(torch.library, "Library", Library)
    if message == "other":
        with pytest.raises(RuntimeError, match="other"):
            import_torchvision_datasets()
    else:
        assert import_torchvision_datasets() is datasets
    assert declared == (["nms", "qnms"] if "nms" in message else [])
