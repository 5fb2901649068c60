"""The runtimes of the comparison, each as one function from noise and labels to images.

An engine gets noise, float32 [batch, noise_dim], and labels, int64 [batch], and returns images,
uint8 [batch, 1, height, width]. The conversions of inputs and outputs are part of its time. Our own
engines generate the noise themselves, which is part of their time too. Only SESSION_ONLY gets it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
import torch
from generated_c import compile_c
from networks import ImageBytes, Network, model_file
from numpy.typing import NDArray

from cgan_export.export import export_model
from cgan_runtime import ImageGenerator
from cgan_runtime.inference.session import open_session
from cgan_runtime.model_file.contract import IMAGE, LABEL, NOISE
from cgan_runtime.noise import standard_normal

Noise: TypeAlias = NDArray[np.float32]
Label: TypeAlias = NDArray[np.int64]
Images: TypeAlias = NDArray[np.uint8]
BASE = "onnxruntime, plain export"
SESSION_ONLY = "ours, int8, session.run only"
OURS, NEW_SEEDS = "ours, int8", "ours, int8, new seed per call"
SEED = 7  # seed of the noise
CALIBRATION_IMAGES = 512  # number of inputs that calibrate LiteRT's static quantization


class MissingError(Exception):
    """An engine cannot be measured in this run. The text is the reason."""


@dataclass(frozen=True)
class Engine:
    """A network that is loaded into a runtime and ready to generate images."""

    generate: Callable[[Noise, Label], Images]
    size_bytes: int  # size of the file or the weights
    prepare: Callable[[int], None] = lambda _batch: None  # called before each size's first batch


def load_engines(
    network: Network, threads: int, folder: Path, *, quick: bool = False
) -> Iterator[tuple[str, Engine | MissingError]]:
    """Yield the name of each engine, and the engine or the reason why it is missing.

    Args:
        network: the network to run.
        threads: number of threads that each engine may use.
        folder: a folder for files, which must outlive the engines.
        quick: omit engines that take long to load.
    """
    plain, ours = plain_export(network, folder), our_files(network, folder)
    loaders: dict[str, Callable[[], Engine]] = {
        BASE: lambda: _onnxruntime(plain, threads),
        "torch, eager": lambda: _torch(network, threads, compiled=False),
        "torch.compile": lambda: _torch(network, threads, compiled=True),
        "numpy": lambda: _numpy(network),
        "OpenVINO, f32": lambda: _openvino(plain, threads, "f32"),
        "OpenVINO, default precision": lambda: _openvino(plain, threads, None),
        "LiteRT, fp32": lambda: _litert(network, threads, None),
        "LiteRT, int8 (dynamic)": lambda: _litert(network, threads, "dynamic"),
        "LiteRT, int8 (static)": lambda: _litert(network, threads, "static"),
        "ncnn": lambda: _ncnn(network, threads, folder),
        "ours, fp32": lambda: _ours(ours["fp32"], threads),
        "ours, fp16": lambda: _ours(ours["fp16"], threads),
        OURS: lambda: _ours(ours["int8"], threads),
        NEW_SEEDS: lambda: _ours(ours["int8"], threads, new_seeds=True),
        SESSION_ONLY: lambda: _session_only(ours["int8"], threads),
        "generated C, gcc -O2": lambda: _generated_c(network, ours["int8"], threads, folder, "-O2"),
        "generated C, gcc -O3 -march=native": lambda: _generated_c(
            network, ours["int8"], threads, folder, "-O3", "-march=native"
        ),
    }
    for name, load in loaders.items():
        if quick and name == "torch.compile":
            yield name, MissingError("it takes a minute to compile, so the quick run omits it")
        else:
            yield name, _load_or_reason(load)


def _load_or_reason(load: Callable[[], Engine]) -> Engine | MissingError:
    try:
        return load()
    except MissingError as error:
        return error


def _require(module: str, package: str) -> None:
    if find_spec(module) is None:
        raise MissingError(
            f"{package} is not installed; make bench installs it on supported platforms"
        )


def plain_export(network: Network, folder: Path) -> Path:
    """Export a network as PyTorch's tutorial does, with a dynamic batch size; return the file."""
    path = folder / f"{network.name}-plain.onnx"
    if not path.exists():
        batch = torch.export.Dim("batch", min=1)
        noise = torch.zeros(3, network.generator.noise_dim)
        torch.onnx.export(
            ImageBytes(network.generator).eval(),
            (noise, torch.zeros(3, dtype=torch.int64)),
            path,
            input_names=[NOISE, LABEL],
            output_names=[IMAGE],
            dynamic_shapes=({0: batch}, {0: batch}),
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    return path


def our_files(network: Network, folder: Path) -> dict[str, Path]:
    """Return our file for each precision. The shipped int8 file is used unchanged."""
    files = {}
    with model_file(network) as model:
        for precision in ("fp32", "fp16", "int8"):
            files[precision] = folder / f"{network.name}-{precision}.onnx"
            if precision == "int8" and network.int8_file is not None:
                files[precision] = network.int8_file
            elif not files[precision].exists():
                export_model(model, files[precision], precision=precision)
    return files


def _onnxruntime(path: Path, threads: int) -> Engine:
    """Load the plain export with onnxruntime's default settings, except the thread count."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return Engine(_run_session(session), path.stat().st_size)


def _session_only(path: Path, threads: int) -> Engine:
    """Open our file as ImageGenerator does, but call the session directly."""
    session = open_session(path.read_bytes(), str(path), "cpu", threads).session
    return Engine(_run_session(session), path.stat().st_size)


def _run_session(session: Any) -> Callable[[Noise, Label], Images]:
    def generate(noise: Noise, label: Label) -> Images:
        images: Images = session.run([IMAGE], {NOISE: noise, LABEL: label})[0]
        return images

    return generate


def _ours(path: Path, threads: int, *, new_seeds: bool = False) -> Engine:
    """Open our file with the public API, which generates the noise.

    Each call generates different images: the next ones of a seed, or the first of a new seed.
    """
    generator = ImageGenerator(path, provider="cpu", threads=threads)
    labels_by_size: dict[int, list[int]] = {}  # lists, as users write labels

    def generate(label: Label, generated: int) -> Images:
        size = len(label)
        labels = labels_by_size.get(size) or labels_by_size.setdefault(size, label.tolist())
        seed, start = (SEED + generated, 0) if new_seeds else (SEED, generated)
        return generator.generate(labels, seed=seed, start=start)

    return _counting_engine(generate, path.stat().st_size)


def _generated_c(network: Network, path: Path, threads: int, folder: Path, *options: str) -> Engine:
    """Compile the C code of our int8 file, which generates the noise itself."""
    if which("gcc") is None:
        raise MissingError("gcc is not installed")
    if threads > 1:
        raise MissingError("it uses one thread")
    folder = folder / f"{network.name} {' '.join(options)}"
    run, size_bytes = compile_c(path, folder, list(options), network.generator.image_shape)
    return _counting_engine(lambda label, generated: run(label, SEED, generated), size_bytes)


def _counting_engine(generate: Callable[[Label, int], Images], size_bytes: int) -> Engine:
    """Return an engine for a function of labels and the number of images generated so far."""
    generated = 0

    def generate_next(_noise: Noise, label: Label) -> Images:
        nonlocal generated
        images = generate(label, generated)
        generated += len(label)
        return images

    def prepare(_batch: int) -> None:
        nonlocal generated
        generated = 0  # so that the first call uses the same noise as the other engines

    return Engine(generate_next, size_bytes, prepare)


def _torch(network: Network, threads: int, *, compiled: bool) -> Engine:
    torch.set_num_threads(threads)
    module: Any = ImageBytes(network.generator).eval()
    if compiled:
        module = torch.compile(module, dynamic=True)
        try:
            # A batch of two: torch.compile would specialize the code for a batch of one.
            with torch.inference_mode():
                module(torch.zeros(2, network.generator.noise_dim), torch.zeros(2).long())
        except Exception as error:  # a missing compiler raises many kinds of exceptions
            reason = str(error).strip().splitlines()[0][:100]
            raise MissingError(f"it needs a C++ compiler ({reason})") from error

    def generate(noise: Noise, label: Label) -> Images:
        with torch.inference_mode():
            images: Images = module(torch.from_numpy(noise), torch.from_numpy(label)).numpy()
        return images

    weights = network.generator.state_dict().values()
    return Engine(generate, sum(each.numel() * each.element_size() for each in weights))


def _numpy(network: Network) -> Engine:
    noise_dim = network.generator.noise_dim
    image_shape = network.generator.image_shape
    (weight, bias), *rest = network.layers
    first, table = weight[:, :noise_dim].T.copy(), weight[:, noise_dim:].T + bias
    others = [(weight.T.copy(), bias) for weight, bias in rest]

    def generate(noise: Noise, label: Label) -> Images:
        state = noise @ first
        state += table[label]
        for weight, bias in others:
            np.maximum(state, 0, out=state)
            state = state @ weight
            state += bias
        np.tanh(state, out=state)
        state += 1
        state *= 127.5
        np.rint(state, out=state)
        return state.astype(np.uint8).reshape(-1, *image_shape)

    size = sum(weight.nbytes + bias.nbytes for weight, bias in network.layers)
    return Engine(generate, size)


def _openvino(path: Path, threads: int, precision: str | None) -> Engine:
    _require("openvino", "openvino")
    import openvino

    settings: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    if precision is not None:
        settings["INFERENCE_PRECISION_HINT"] = precision
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()

    def generate(noise: Noise, label: Label) -> Images:
        outputs = request.infer({NOISE: noise, LABEL: label}, share_inputs=True, share_outputs=True)
        images: Images = outputs[0]
        return images

    return Engine(generate, path.stat().st_size)


def _litert(network: Network, threads: int, quantization: str | None) -> Engine:
    _require("ai_edge_litert", "ai-edge-litert")
    from ai_edge_litert.interpreter import Interpreter
    from litert_file import tflite

    noise_dim = network.generator.noise_dim
    image_shape = network.generator.image_shape
    content = tflite(network.layers, noise_dim)
    if quantization is not None:
        content = _quantize_tflite(content, network, quantization)
    interpreter = Interpreter(model_content=content, num_threads=threads)
    inputs = {each["name"].split(":")[0]: each for each in interpreter.get_input_details()}
    index = {name: each["index"] for name, each in inputs.items()}
    scale, zero_point = inputs["noise"]["quantization"]  # 0 and 0 for float inputs
    (output,) = (each["index"] for each in interpreter.get_output_details())

    def prepare(batch: int) -> None:
        interpreter.resize_tensor_input(index["noise"], [batch, noise_dim])
        interpreter.resize_tensor_input(index["label"], [batch])
        interpreter.allocate_tensors()

    def generate(noise: NDArray[Any], label: Label) -> Images:
        if scale:
            noise = np.clip(np.rint(noise / scale) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(index["noise"], noise)
        interpreter.set_tensor(index["label"], label.astype(np.int32))
        interpreter.invoke()
        images: Images = interpreter.get_tensor(output)
        return images.reshape(-1, *image_shape)

    return Engine(generate, len(content), prepare)


def _quantize_tflite(content: bytes, network: Network, kind: str) -> bytes:
    """Quantize a .tflite file with Google's tool and its standard recipe."""
    _require("ai_edge_quantizer", "ai-edge-quantizer")
    from ai_edge_quantizer import quantizer, recipe

    recipes = {"dynamic": recipe.dynamic_wi8_afp32, "static": recipe.static_wi8_ai8}
    tool = quantizer.Quantizer(bytearray(content), recipes[kind]())
    if not tool.need_calibration:
        return bytes(tool.quantize().quantized_model)
    noise = standard_normal(SEED, 0, CALIBRATION_IMAGES, network.generator.noise_dim)
    samples = [
        {"noise": noise[i : i + 1], "label": np.array([i % 10], np.int32)}
        for i in range(CALIBRATION_IMAGES)
    ]
    try:
        calibration = tool.calibrate({None: samples})
        return bytes(tool.quantize(calibration).quantized_model)
    except Exception as error:  # the tool raises many kinds of exceptions for such graphs
        reason = str(error).strip().splitlines()[0][:200]
        raise MissingError(f"ai-edge-quantizer rejects the graph ({reason})") from error


def _ncnn(network: Network, threads: int, folder: Path) -> Engine:
    _require("ncnn", "ncnn")
    import ncnn

    classes, image_shape = network.generator.classes, network.generator.image_shape
    # ncnn's text format: kind, name, number of inputs and outputs, their names, settings.
    # The setting 9=1 is ReLU, and 9=4 sigmoid.
    last = len(network.layers) - 1
    lines = ["7767517", f"{last + 2} {last + 2}", "Input in 0 1 blob"]
    parts: list[bytes] = []
    for number, (weight, bias) in enumerate(network.layers):
        scale = np.float32(2 if number == last else 1)  # tanh(x) is 2 sigmoid(2 x) - 1
        source, target = f"blob{number or ''}", f"blob{number + 1}"
        activation = 4 if number == last else 1
        lines.append(
            f"InnerProduct product{number} 1 1 {source} {target} "
            f"0={len(bias)} 1=1 2={weight.size} 9={activation}"
        )
        parts += [bytes(4), (weight * scale).tobytes(), (bias * scale).tobytes()]
    param, weights = folder / f"{network.name}.param", folder / f"{network.name}.bin"
    param.write_text("\n".join(lines) + "\n")
    weights.write_bytes(b"".join(parts))
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.load_param(str(param))
    net.load_model(str(weights))
    one_hot = np.eye(classes, dtype=np.float32)

    def generate(noise: Noise, label: Label) -> Images:
        inputs = np.concatenate([noise, one_hot[label]], axis=1)
        extractor = net.create_extractor()
        extractor.input("blob", ncnn.Mat(inputs[0] if len(inputs) == 1 else inputs))
        _, sigmoid = extractor.extract(f"blob{last + 1}")
        pixels = np.array(sigmoid)
        pixels *= 255
        np.rint(pixels, out=pixels)
        return pixels.astype(np.uint8).reshape(-1, *image_shape)

    return Engine(generate, weights.stat().st_size)
