"""Pictures of a run: sample sheets, their animation, and training curves."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def plain_text_style() -> Iterator[None]:
    """Render texts in matplotlib figures literally (a context manager and decorator).

    Without it, matplotlib interprets a $ in a class name as the start of a formula. Matplotlib's
    warnings are silenced too, because it prints many if its font cache is not writable.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib as mpl

    with mpl.rc_context({"text.parse_math": False, "text.usetex": False}):
        yield
