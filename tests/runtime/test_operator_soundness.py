"""Random nodes that graph validation accepts: onnxruntime returns tensors of the inferred shapes.

No image depends on another one.
"""

import re
from pathlib import Path
from random import Random

import pytest
from model_graphs import load_graph
from operator_cases import add_case, check_against_onnxruntime
from random_cases import MAKERS, Maker

from cgan_runtime.model_file.validation.node_reading import InvalidGraphError, UnsupportedError

COUNT = 30
# Errors that validation cannot predict: unsupported modes, and indices that the graph computes.
LIMITATIONS = re.compile("mode only supports|out of data bounds|Out of range|invalid index found")


@pytest.mark.parametrize("maker", MAKERS, ids=lambda each: each.__name__)
def test_accepted_nodes_are_as_inferred(tiny_model: Path, maker: Maker) -> None:
    random, accepted = Random(maker.__name__), 0
    for _ in range(COUNT):
        model = load_graph(tiny_model)
        case = maker(random)
        names = add_case(model, case)
        try:
            check_against_onnxruntime(model, names)
        except (InvalidGraphError, UnsupportedError):
            continue
        except Exception as error:
            if not LIMITATIONS.search(str(error)):
                raise AssertionError(f"onnxruntime rejects {case}") from error
        accepted += 1
    assert accepted > COUNT / 20
