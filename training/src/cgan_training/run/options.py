"""The options of a run that do not change what is learned."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cgan_training.networks import Generator

CHECKPOINT_SECONDS = 300.0


@dataclass(frozen=True)
class RunOptions:
    """What a run does beside learning; none of it changes what is learnt."""

    seconds_limit: float | None = None  # end after this much training, within an epoch if need be
    keep_every: int = 0  # also keep the generator of every so many epochs in models/; 0: none
    checkpoint_seconds: float = CHECKPOINT_SECONDS  # between checkpoints within an epoch
    resume: bool = False  # go on with the run that the folder holds
    start_from: Path | None = None  # a run whose networks a new one begins with
    meter: Callable[[Generator], dict[str, float]] | None = None  # figures of a generator's quality
    eval_every: int = 0  # measure every so many epochs; 0: never
    tensorboard: bool = False  # also write TensorBoard's files, in tensorboard/
    found_by: tuple[str, str] = ("", "")  # --dataset and --data-dir, for config.json
