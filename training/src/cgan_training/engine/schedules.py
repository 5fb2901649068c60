"""The schedules of a run: its progress, and the learning rate that depends on it."""

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
    """Return the progress after `epoch` complete epochs and `step` steps of the run, 0..1.

    It is `step` divided by the step of the next restart, or after the last one by the last step of
    the run. With restarts at 180 and 270 of 360 epochs it rises to 1, drops to 180 / 270, rises to
    1, drops to 270 / 360 and rises to 1. (The warm restarts of Loshchilov & Hutter 2017, sec. 3,
    drop to 0.) It is at least `time_share`, the used share of the time limit.
    """
    end = min([*(restart for restart in restarts if epoch < restart), epochs])
    return min(1.0, max(step / (end * steps_per_epoch), time_share))


def learning_rate(initial: float, decay: float, progress: float) -> float:
    """Return the learning rate: linear to 0 from progress 1 - decay to 1, constant before."""
    return initial * min(1.0, (1 - progress) / decay) if decay else initial
