"""The service of docs/how-to/web-service.md, started as a reader would start it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cgan_runtime import ImageGenerator, png

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "web-service.md"
SERVERS = ["ThreadingMixIn"]
if hasattr(os, "fork"):
    SERVERS.append("ForkingMixIn")


@pytest.fixture(scope="module", params=SERVERS)
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    block = re.compile(r"^```python\n(# service\.py\n.*?)^```$", re.DOTALL | re.MULTILINE)
    found = block.search(PAGE.read_text("utf-8"))
    assert found
    script = tmp_path_factory.mktemp("service") / "service.py"
    script.write_text(found[1].replace("ThreadingMixIn", request.param), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, script],
        env=os.environ | {"PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout
            yield urlsplit(server.stdout.readline()).port or 0
        finally:
            server.terminate()


def get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path)
    response = connection.getresponse()
    return response.status, response.read()


def test_concurrent_requests_get_the_images_of_their_seeds(port: int) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda seed: get(port, f"/images?label=2&label=0&seed={seed}"), range(16))
        )
    with ImageGenerator(provider="cpu") as generator:
        expected = [
            png(generator.generate([2, 0], seed=seed), columns=2, scale=4) for seed in range(16)
        ]
    assert answers == [(200, each) for each in expected]


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/", 404, "use GET /images"),
        ("/images", 400, "there are 0 labels"),
        ("/images?" + "label=1&" * 100 + "label=1", 400, "there are 101 labels"),
        ("/images?label=ten", 400, "the model has no class 'ten'"),
        ("/images?label=1&seed=-1", 400, "the seed must be a whole number of 0 or more, got '-1'"),
        ("/images?label=1&seed=one", 400, "got 'one'"),
        ("/images?label=1&seed=" + "9" * 20, 400, "out of range"),
        ("/images?label=1&seed=" + "9" * 5000, 400, "the seed must be a whole number"),
        ("/images?" + "label=1&" * 102, 400, "give 1 to 100 labels and one seed"),
        ("/images?" + "label=1&" * 101 + "seed=7", 400, "give 1 to 100 labels and one seed"),
        ("/images?label=" + "x" * 20_000, 400, "the model has no class"),
    ],
)
def test_an_invalid_request_gets_a_one_line_error(
    port: int, path: str, status: int, text: str
) -> None:
    answer, body = get(port, path)
    assert answer == status
    assert text in body.decode()
    assert b"\n" not in body


def test_another_method_is_rejected(port: int) -> None:
    assert get(port, "/images?label=1", "POST")[0] == 404
