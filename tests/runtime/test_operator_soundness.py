"""Random nodes that graph validation accepts have its shapes in onnxruntime and mix no images."""

import re
from pathlib import Path
from random import Random

import pytest
from model_graphs import read
from operator_cases import add_case, check_against_onnxruntime
from random_cases import MAKERS, Maker

from cgan_runtime.model_file.validation.node_reading import InvalidGraphError, UnsupportedError

COUNT = 30
# onnxruntime reports what it cannot run, and indices that only exist while it runs.
LIMITATIONS = re.compile("mode only supports|out of data bounds|Out of range|invalid index found")


@pytest.mark.parametrize("maker", MAKERS, ids=lambda each: each.__name__)
def test_accepted_nodes_are_as_inferred(tiny_model: Path, maker: Maker) -> None:
    random, accepted = Random(maker.__name__), 0
    for _ in range(COUNT):
        model = read(tiny_model)
        case = maker(random)
        names = add_case(model, case)
        try:
            check_against_onnxruntime(model, names)
        except (InvalidGraphError, UnsupportedError):
            continue
        except Exception as error:
            if not LIMITATIONS.search(str(error)):
                error.add_note(str(case))
                raise
        accepted += 1
    assert accepted > COUNT / 20
