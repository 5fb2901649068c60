"""Configure Sphinx for the documentation site, which `make docs` builds into dist/docs."""

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

project, author = "cgan", "the cgan authors"
extensions = [
    "myst_parser",  # pages in Markdown
    "sphinx_copybutton",
]
html_theme = "furo"
html_title = "cgan"
html_show_copyright = html_copy_source = False

myst_enable_extensions = ["dollarmath"]
html_math_renderer = "mathml"
myst_heading_anchors = 4  # links such as contract.md#noise work here as they do on GitHub
exclude_patterns = ["**/table.md", "classic/curve.md"]  # tables that other pages contain

highlight_language = "none"  # indented blocks show shell commands


def include_root_page(_app: Sphinx, _path: Path, _docname: str, content: list[str]) -> None:
    """Adapt the links of a page in the root folder that a page in docs/project includes."""
    content[0] = re.sub(r"\]\((?![a-z]+:|#)", "](../../", content[0])


def write_math(writer: Any, node: nodes.math | nodes.math_block) -> None:
    """Write a formula as MathML, which browsers show without a script from another host."""
    is_block = isinstance(node, nodes.math_block)
    writer.body.append(tex2mathml(node.astext(), as_block=is_block))
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Register the functions above with Sphinx."""
    app.add_html_math_renderer("mathml", (write_math, None), (write_math, None))
    app.connect("include-read", include_root_page)
