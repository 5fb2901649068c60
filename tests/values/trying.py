"""What the tests of values share: how many examples, and the letters of a word."""

import os
import subprocess
from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TIMES = int(os.environ.get("CGAN_EXAMPLES", "1"))
# What a shell can put into one word of a command line.
LETTERS = st.characters(exclude_characters="\0/", exclude_categories=["Cs"])
Done = subprocess.CompletedProcess[bytes]
Call = Callable[..., Done]


def examples(count: int) -> settings:
    """Return settings of so many examples, the same each time; CGAN_EXAMPLES times as many."""
    return settings(
        max_examples=count * TIMES,
        derandomize=TIMES == 1,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
