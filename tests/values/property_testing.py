"""Settings and strategies of the tests that try values of every kind for options and arguments."""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FACTOR = int(os.environ.get("CGAN_EXAMPLES", "1"))
# Characters that a shell can pass in one word of a command line.
WORD_CHARACTERS = st.characters(exclude_characters="\0/", exclude_categories=["Cs"])


def examples(count: int) -> settings:
    """Return settings for count examples, which are the same in each run.

    The environment variable CGAN_EXAMPLES multiplies their number; the examples are then random.
    """
    return settings(
        max_examples=count * FACTOR,
        derandomize=FACTOR == 1,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
