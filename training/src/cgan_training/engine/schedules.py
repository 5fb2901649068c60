"""Progress of a run and its learning rate."""

from collections.abc import Sequence


def run_progress(
    epoch: int,
    step: int,
    *,
    steps_per_epoch: int,
    epochs: int,
    restarts: Sequence[int] = (),
    time_share: float = 0.0,
) -> float:
    """Return the completed share of the run, 0..1: of its steps or its time, whichever is larger.

    `epoch` and `step` are the completed ones, and `time_share` is the used share of the time limit.
    The schedules restart at the epochs `restarts`. Before a restart, the progress is that of a run
    that ends there (Loshchilov & Hutter 2017, sec. 3).
    """
    end = min([*(restart for restart in restarts if epoch < restart), epochs])
    return min(1.0, max(step / (end * steps_per_epoch), time_share))


def learning_rate(initial: float, decay: float, progress: float) -> float:
    """Return the learning rate: constant, then linear to 0 over the last share `decay` of a run."""
    return initial * min(1.0, (1 - progress) / decay) if decay else initial
