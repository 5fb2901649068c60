"""Schedules of the learning rate and of the EMA."""

from functools import partial

import pytest

from cgan_training.engine.ema import warm_up_decay
from cgan_training.engine.schedules import learning_rate, run_progress


def test_progress_counts_steps_or_time_if_that_is_more() -> None:
    progress = partial(run_progress, steps_per_epoch=10, epochs=2)
    assert [progress(0, step) for step in (0, 5, 20, 30)] == [0, 0.25, 1, 1]
    assert progress(0, 5, time_share=0.75) == 0.75
    assert progress(1, 18, time_share=0.75) == 0.9


def test_progress_decreases_at_each_restart() -> None:
    progress = partial(run_progress, steps_per_epoch=10, epochs=6, restarts=(2, 5))
    assert progress(1, 19) == 0.95
    assert progress(2, 20) == 2 / 5
    assert progress(5, 50) == 5 / 6


def test_the_learning_rate_is_constant_and_then_decays() -> None:
    rates = [learning_rate(0.1, 0.5, progress) for progress in (0, 0.5, 0.75, 1)]
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0])
    assert learning_rate(0.1, 0.0, 1.0) == 0.1


def test_the_ema_decay_warms_up() -> None:
    assert [warm_up_decay(0.99, step) for step in (1, 9, 891, 10_000)] == [0.1, 0.5, 0.99, 0.99]
