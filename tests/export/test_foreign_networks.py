"""Networks of other people's kinds: what cgan-export writes, the runtime accepts and bounds."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from foreign_networks import CLASSES, NETWORKS, NOISE_DIM

from cgan_export import export_generator
from cgan_runtime.model_file.contract import LABEL, NOISE
from cgan_runtime.model_file.validation.graph_validation import validate_graph, validate_model


@pytest.fixture(scope="module", params=NETWORKS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("exported") / "m.onnx"
    names = [str(label) for label in range(CLASSES)]
    network = NETWORKS[request.param]().eval()
    export_generator(network, path, noise_dim=NOISE_DIM, class_names=names)
    return path


def test_every_tensor_has_the_inferred_shape(exported: Path) -> None:
    content = exported.read_bytes()
    assert validate_model(content, "m.onnx").max_batch == 1024
    tensors = validate_graph(content).tensors
    model = onnx.ModelProto.FromString(content)
    names = [name for node in model.graph.node for name in node.output]
    for name in set(names) - {each.name for each in model.graph.output}:
        model.graph.output.add(name=name)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    for count in (1, 2, 33):
        noise = np.zeros((count, NOISE_DIM), np.float32)
        results = session.run(names, {NOISE: noise, LABEL: np.arange(count) % CLASSES})
        for name, result in zip(names, results, strict=True):
            assert result.shape == tensors[name].tensor.shape_for(count), name
