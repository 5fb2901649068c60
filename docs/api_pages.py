"""Write the options of the commands and the public Python names into docs/reference.

python docs/api_pages.py    # after a change of an option, a signature or a public docstring
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from recipe_keys import field_comments

PAGES = [Path(__file__).parent / "reference" / f"{name}.md" for name in ("commands", "python")]
COMMANDS = {
    "cgan-run": "cgan_runtime.cli.run",
    "cgan-bulk": "cgan_runtime.cli.bulk",
    "cgan-check": "cgan_runtime.cli.check",
    "cgan-train": "cgan_training.cli.train",
    "cgan-export": "cgan_export.cli.export",
    "cgan-eval": "cgan_export.cli.evaluate",
}
PACKAGES = ("cgan_runtime", "cgan_training", "cgan_export")
# Documented names outside __all__: return types and rarely needed functions and errors.
OTHER_NAMES = {
    "cgan_runtime": ("generator.Batch", "noise.standard_normal", "errors.StoppedError"),
}
SECTION = re.compile(r"(<!-- begin: [^>]*-->\n).*(<!-- end: [^>]*-->)", re.DOTALL)
DOCSTRING_SECTION = re.compile(
    r"^(Args|Attributes|Raises|Returns|Yields):\n((?: {4}.*\n?)+)", re.MULTILINE
)
MARKDOWN_CHARACTER = re.compile(r"\*|<(?=[\w/!])|(?<![^\W_])_|_(?![^\W_])")
ARGUMENT_SEPARATOR = re.compile(r", (?![^\[(]*[\])])")  # a comma outside brackets
MAX_LINE = 80  # longest list of arguments on one line, in characters


def commands_markdown() -> str:
    """Return the help of every command as Markdown."""
    return "\n".join(line for name in COMMANDS for line in _command(name)).rstrip()


def _command(name: str) -> Iterator[str]:
    command: click.Command = import_module(COMMANDS[name]).command
    context = click.Context(command, info_name=name, **command.context_settings)
    yield f"## {name}\n"
    yield f"```text\n{name} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    yield f"{_escape(command.help or '').strip()}\n"
    yield "| option | meaning |"
    yield "|---|---|"
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record and isinstance(parameter, click.Option):
            option, text = (each.replace("|", "\\|") for each in record)
            yield f"| `{option}` | {_escape(text)} |"
    examples = (command.epilog or "").partition("Examples:\n")[2]
    yield f"\n```text\n{textwrap.dedent(examples).strip()}\n```\n"


def _escape(text: str) -> str:
    """Escape the characters of Markdown in a text, except in indented code."""
    lines = text.split("\n")
    return "\n".join(
        line if line.startswith("    ") else MARKDOWN_CHARACTER.sub(r"\\\g<0>", line)
        for line in lines
    )


def python_markdown() -> str:
    """Return the signatures and docstrings of each package's public names as Markdown."""
    parts = []
    for package in PACKAGES:
        module = import_module(package)
        parts += [f"## {package}\n", f"{_docstring(module)}\n"]
        for path in (*module.__all__, *OTHER_NAMES.get(package, ())):
            home, _, name = f"{package}.{path}".rpartition(".")
            parts += _object(getattr(import_module(home), name), name)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip()


def _object(value: Any, name: str) -> Iterator[str]:
    """Yield the heading, signature and docstring of a function, or of a class and its members."""
    node: Any = ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]
    yield f"### {name}\n"
    yield f"```text\n{_signature(node)}\n```\n"
    yield f"{_docstring(value)}\n"
    if not isinstance(node, ast.ClassDef):
        return
    fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
    if fields:
        comments = field_comments(value)
        yield "**Attributes**\n"
        for field in fields:
            comment = comments.get(ast.unparse(field.target), "")
            yield f"- `{ast.unparse(field)}`: {_escape(comment)}".removesuffix(": ")
    yield ""
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and not each.name.startswith("_"):
            yield f"#### {name}.{each.name}\n"
            yield f"```text\n{_signature(each)}\n```\n"
            yield f"{_docstring(inspect.getattr_static(value, each.name))}\n"


def _signature(node: ast.ClassDef | ast.FunctionDef) -> str:
    """Return the declaration of a function, or of a class and its __init__."""
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, node.bases))
        text = f"class {node.name}({bases})" if bases else f"class {node.name}"
        functions = [each for each in node.body if isinstance(each, ast.FunctionDef)]
        init = [each for each in functions if each.name == "__init__"]
        return "\n".join([text, *map(_signature, init)])
    text = ast.unparse(node.args)
    if len(text) > MAX_LINE:
        text = "".join(f"\n    {each}," for each in ARGUMENT_SEPARATOR.split(text)) + "\n"
    decorators = " ".join(f"@{ast.unparse(each)}\n" for each in node.decorator_list)
    returns = ast.unparse(node.returns or ast.Constant(None))
    return f"{decorators}def {node.name}({text}) -> {returns}"


def _docstring(value: Any) -> str:
    """Convert a docstring in Google's style to Markdown."""
    text = inspect.cleandoc(value.__doc__ or "")
    summary, *sections = DOCSTRING_SECTION.split(text)
    parts = [_escape(summary)]
    for heading, body, rest in zip(sections[::3], sections[1::3], sections[2::3], strict=True):
        items = re.sub(r"\n {4,}", "\n  ", textwrap.dedent(body))
        if heading not in {"Returns", "Yields"}:
            items = re.sub(r"^([\w.]+):", r"- `\1`:", items, flags=re.MULTILINE)
        parts += [f"**{heading}**\n\n", _escape(items), rest]
    return "".join(parts).rstrip()


def fill_page(page: Path) -> str:
    """Return a page of the reference with its section filled."""
    text = {"commands": commands_markdown, "python": python_markdown}[page.stem]()
    return SECTION.sub(lambda m: f"{m[1]}\n{text}\n\n{m[2]}", page.read_text("utf-8"))


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(fill_page(page), "utf-8")
