"""Let matplotlib take every text as it is, and keep its advice to itself."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def plain_text_style() -> Iterator[None]:
    """Draw figures in the block, or the function, without formulas in their texts.

    A name with a $ in it would be read as one. And where there is no home to keep its list of fonts
    in, matplotlib would say so at length.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib as mpl

    with mpl.rc_context({"text.parse_math": False, "text.usetex": False}):
        yield
