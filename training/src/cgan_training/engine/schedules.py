"""Progress of a run and its learning rate."""

from collections.abc import Sequence


def run_progress(
    epoch: int,
    step: int,
    steps_per_epoch: int,
    epochs: int,
    restarts: Sequence[int] = (),
    time_share: float = 0.0,
) -> float:
    """Return the completed share of the run, 0..1.

    Args:
        epoch: completed epochs.
        step: completed steps.
        steps_per_epoch: number of steps of an epoch.
        epochs: number of epochs of the run.
        restarts: epochs at which the schedule restarts: before the first of them that is still
            ahead, the run counts as one that ends there (Loshchilov & Hutter 2017, sec. 3).
        time_share: share of a time limit that is used up; the larger of the two shares counts.
    """
    end = min([*(each for each in restarts if epoch < each), epochs])
    return min(1.0, max(step / (end * steps_per_epoch), time_share))


def learning_rate(initial: float, decay: float, progress: float) -> float:
    """Return the learning rate: constant at first, then falling linearly to 0.

    Args:
        initial: the rate at the start of the run.
        decay: the last share of the run, in which the rate falls; 0 keeps it constant.
        progress: completed share of the run, 0..1.
    """
    return initial * min(1.0, (1 - progress) / decay) if decay else initial
