"""The notes and warnings that the report of --json contains."""

import logging
from functools import partial

import click

NOTE = "note: "  # start of a message of level INFO that users should not miss


class _NoteCollector(logging.Handler):
    """A log handler that collects notes and warnings."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Add a message to the texts if it is a note or a warning."""
        text = record.getMessage()
        if text.startswith(NOTE) or record.levelno >= logging.WARNING:
            self.texts.append(text.removeprefix(NOTE))


def collect_notes(*packages: str) -> list[str]:
    """Return a list to which these packages' notes and warnings are added during the command."""
    handler, context = _NoteCollector(), click.get_current_context()
    for logger in map(logging.getLogger, packages):
        context.call_on_close(partial(logger.setLevel, logger.level))
        logger.setLevel(logging.INFO)  # --quiet hides notes, but --json contains them
        logger.addHandler(handler)
        context.call_on_close(partial(logger.removeHandler, handler))
    return handler.texts
