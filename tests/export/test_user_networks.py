"""Networks of users, exported unmodified: their images, and the inferred shapes of their files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import user_networks
from user_networks import CLASSES, NETWORKS, NOISE_DIM, VALUE_RANGES

from cgan_export.export import export_source
from cgan_export.source.module_source import source_of_module
from cgan_runtime import ImageGenerator
from cgan_runtime.model_file.contract import LABEL, NOISE
from cgan_runtime.model_file.validation.graph_validation import validate_graph, validate_model
from cgan_runtime.noise import standard_normal

LABELS, SEED = [4, 0, 3, 1, 2, 0, 4], 5
ERRORS = {  # the largest accepted max and mean pixel errors
    "fp32": (1, 0.01),
    "fp16": (1, 0.05),
    "int8": (60, 4.0),
}


@dataclass
class Exported:
    """The files of a network by precision, and the images of the network."""

    files: dict[str, Path]
    images: np.ndarray


@pytest.fixture(scope="module", params=NETWORKS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    name: str = request.param
    module, folder = user_networks.network(name), tmp_path_factory.mktemp("exported")
    low, high = VALUE_RANGES.get(name, (-1, 1))
    noise = torch.from_numpy(standard_normal(SEED, 0, len(LABELS), NOISE_DIM))
    with torch.inference_mode():
        values = user_networks.images(module, noise, torch.tensor(LABELS)).double().numpy()
    source = source_of_module(
        module,
        name=name,
        noise_dim=NOISE_DIM,
        class_names=[str(label) for label in range(CLASSES)],
        value_range=(low, high),
    )
    files = {precision: folder / f"{precision}.onnx" for precision in ERRORS}
    for precision, path in files.items():
        export_source(source, path, precision=precision)
    return Exported(files, np.rint((values - low) * 255 / (high - low)).clip(0, 255))


def test_the_files_generate_the_images_of_the_network(exported: Exported) -> None:
    assert exported.images.std() > 5
    for precision, (max_error, mean_error) in ERRORS.items():
        with ImageGenerator(exported.files[precision], "cpu") as generator:
            errors = np.abs(generator.generate(LABELS, seed=SEED) - exported.images)
        assert errors.max() <= max_error, precision
        assert errors.mean() <= mean_error, precision


def test_every_tensor_has_the_inferred_shape(exported: Exported) -> None:
    content = exported.files["fp32"].read_bytes()
    assert validate_model(content, "m.onnx").max_batch == 1024
    tensors = validate_graph(content).tensors
    model = onnx.ModelProto.FromString(content)
    names = [name for node in model.graph.node for name in node.output]
    for name in set(names) - {output.name for output in model.graph.output}:
        model.graph.output.add(name=name)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    for count in (1, 2, 33):
        noise = np.zeros((count, NOISE_DIM), np.float32)
        results = session.run(names, {NOISE: noise, LABEL: np.arange(count) % CLASSES})
        for name, result in zip(names, results, strict=True):
            assert result.shape == tensors[name].tensor.shape_for(count), name
