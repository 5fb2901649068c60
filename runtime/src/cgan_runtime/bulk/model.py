"""The model of a job, read once: what is validated is what the job's folder receives."""

from pathlib import Path
from typing import NamedTuple

from cgan_runtime.inference.session import open_session, read_session_info
from cgan_runtime.model_file.checksum import require_sha256
from cgan_runtime.model_file.contract import ModelInfo
from cgan_runtime.model_file.reading import SHIPPED_MODEL, read_model_file
from cgan_runtime.model_file.validation.graph_validation import validate_model


class JobModel(NamedTuple):
    """A model file that onnxruntime can open."""

    content: bytes  # of the whole file
    sha256: str  # of the content, in hexadecimal
    info: ModelInfo


def read_model(path: Path | None, provider: str, expect_sha256: str | None) -> JobModel:
    """Read a model file, which may be a pipe.

    Arguments and errors are those of ImageGenerator.
    """
    path = SHIPPED_MODEL if path is None else path
    content, source = read_model_file(path), str(path)
    if expect_sha256 is not None:
        require_sha256(content, expect_sha256, source)
    model_sha256 = validate_model(content, source).sha256
    session = open_session(content, source, provider, threads=1)
    return JobModel(content, model_sha256, read_session_info(session, content, source))
