"""Read the model file of a job.

The file is read only once, so the bytes that are validated are the bytes in the job's folder.
"""

from pathlib import Path
from typing import NamedTuple

from cgan_runtime.inference.session import open_session, read_session_info
from cgan_runtime.model_file.checksum import require_sha256
from cgan_runtime.model_file.contract import ModelInfo
from cgan_runtime.model_file.reading import SHIPPED_MODEL, read_model_file
from cgan_runtime.model_file.validation.graph_validation import validate_model


class JobModel(NamedTuple):
    """A model file that onnxruntime can open."""

    content: bytes  # all bytes of the file
    sha256: str  # SHA-256 of the file, in hexadecimal
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
    session = open_session(content, source, provider, threads=1).session
    return JobModel(content, model_sha256, read_session_info(session, content, source))
