"""Write text as GitHub Flavored Markdown, https://github.github.com/gfm/."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

from cgan_runtime.errors import printable


def escape(text: str) -> str:
    """Escape a text for one line of Markdown, or for a table cell."""
    # An underscore between letters or digits is never emphasis.
    return re.sub(r"[\\`*\[\]<>|&~$#]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", printable(text))


def code(text: str) -> str:
    """Return a text as a code span for a table cell."""
    text = printable(text).replace("|", r"\|")  # a code span in a table has no other escape
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    padding = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return f"{fence}{padding}{text}{padding}{fence}"


def table(rows: Mapping[str, str]) -> list[str]:
    """Return the lines of a table of two columns, given as Markdown."""
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]


def format_value(value: Any) -> str:
    """Format a value of the metadata as Markdown for a table cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))


def shell_word(text: str) -> str:
    """Quote a text as one word of a shell command on one line."""
    if text.isprintable():
        return shlex.quote(text)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{printable(escaped)}'"
