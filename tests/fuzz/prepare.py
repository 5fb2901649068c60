"""The sound files that mutants are made of, and a watch over workers."""

import atexit
import dataclasses
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path


def sound_files(target: str) -> Path:
    """Make a folder of sound files until this process ends: models for "onnx", or else runs."""
    folder = Path(tempfile.mkdtemp(prefix="sound-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if target == "onnx":
        _onnx_files(folder)
    else:
        _runs(folder)
    return folder


def _onnx_files(folder: Path) -> None:
    """The model that ships, and each kind of generator in each precision."""
    from cgan_export import export_model
    from cgan_runtime.generator import SHIPPED_MODEL

    shutil.copy(SHIPPED_MODEL, folder)
    runs = folder / "runs"
    _runs(runs)
    for model in sorted(runs.glob("*/model.pt")):
        for opset, precision in ((19, "fp32"), (20, "fp16"), (21, "int8")):
            name = f"{model.parent.name}-{precision}.onnx"
            export_model(model, folder / name, precision=precision, opset=opset)


def _runs(folder: Path) -> None:
    """Finished runs of each kind of network, in miniature."""
    import torch

    from cgan_training.data import load_dataset
    from cgan_training.networks import (
        ConvolutionalGenerator,
        PerceptronDiscriminator,
        PerceptronGenerator,
    )
    from cgan_training.recipe.schema import load_recipe
    from cgan_training.run import RunOptions, train

    torch.set_num_threads(1)
    dataset = load_dataset("optdigits", Path("nowhere"))[0]
    seed = dataclasses.replace(
        load_recipe("seed"),
        epochs=1,
        epoch_images=400,
        discriminator=PerceptronDiscriminator(hidden=(12,), leaky_slope=0.2),
    )
    small = ConvolutionalGenerator(hidden=6, channels=3, convolutions=1)
    recipes = {
        "perceptron": dataclasses.replace(
            seed, noise_dim=6, generator=PerceptronGenerator(hidden=(8, 6))
        ),
        "convolutional": dataclasses.replace(seed, noise_dim=5, average=0.9, generator=small),
    }
    for name, recipe in recipes.items():
        train(
            recipe,
            dataset,
            folder / name,
            device=torch.device("cpu"),
            options=RunOptions(found_by=("optdigits", "nowhere")),
            say=lambda _line: None,
        )


class Watch:
    """Kills a process that says nothing for too long."""

    def __init__(self, process: "subprocess.Popen[str]", seconds: float) -> None:
        self._process, self._seconds = process, seconds
        self.killed = False
        self._timer: threading.Timer | None = None
        self.alive()

    def alive(self) -> None:
        """Begin to wait anew."""
        self.end()
        self._timer = threading.Timer(self._seconds, self._kill)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """Stop waiting."""
        if self._timer is not None:
            self._timer.cancel()

    def _kill(self) -> None:
        self.killed = True
        self._process.kill()
