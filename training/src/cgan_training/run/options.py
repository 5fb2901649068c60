"""Options of a run. None of them changes the trained weights, except by ending the run early."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cgan_training.networks import Generator


@dataclass(frozen=True)
class RunOptions:
    """What a run does besides training: limits, checkpoints, evaluation and extra files."""

    seconds_limit: float | None = None  # stop after this much training, even within an epoch
    checkpoint_seconds: float = 300.0  # maximum time between two checkpoints
    keep_every: int = 0  # keep the generator of every n-th epoch in models/; 0 keeps none
    resume: bool = False  # continue the run in the run directory
    start_from: Path | None = None  # run directory whose networks initialize a new run
    evaluator: "Callable[[Generator], dict[str, float]] | None" = None  # measures the quality
    eval_every: int = 0  # evaluate every n-th epoch; 0 evaluates none
    tensorboard: bool = False  # also write TensorBoard event files to tensorboard/
    progress_bar: bool = False  # show a bar on stderr instead of logging a line per epoch
    dataset_argument: str = ""  # --dataset as given, for config.json
    data_dir: str = ""  # --data-dir as given, for config.json
