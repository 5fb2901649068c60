"""The notes and warnings that --json repeats."""

import logging
from functools import partial

import click

NOTE = "note: "


class _Collector(logging.Handler):
    """Keeps the messages that are notes or warnings."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        text = record.getMessage()
        if text.startswith(NOTE) or record.levelno >= logging.WARNING:
            self.texts.append(text.removeprefix(NOTE))


def collect_notes(*packages: str) -> list[str]:
    """Return a list that gets the notes and warnings of these packages until the command ends."""
    handler, context = _Collector(), click.get_current_context()
    for logger in map(logging.getLogger, packages):
        logger.addHandler(handler)
        context.call_on_close(partial(logger.removeHandler, handler))
    return handler.texts
