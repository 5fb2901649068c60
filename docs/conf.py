"""Settings of Sphinx for the documentation site: `make docs` builds it into dist/docs."""

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.ext.autodoc import Options

sys.path.insert(0, str(Path(__file__).parent))
import recipe_keys

import cgan_export
import cgan_runtime
import cgan_training

for package in (cgan_runtime, cgan_training, cgan_export):  # autodoc sees no lazy imports
    vars(package).update({name: getattr(package, name) for name in package.__all__})

project, author = "cgan", "the cgan authors"
extensions = [
    "myst_parser",  # pages in Markdown
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
]
html_theme = "furo"
html_title = "cgan"
html_show_copyright = html_copy_source = False

myst_enable_extensions = ["dollarmath"]
html_math_renderer = "mathml"
myst_heading_anchors = 4  # links such as contract.md#noise work here as they do on GitHub
exclude_patterns = ["**/table.md", "classic/curve.md"]  # tables only

highlight_language = "none"  # of indented blocks: they show commands
autodoc_member_order = "bysource"
napoleon_use_rtype = False  # a return value is described by dtype and shape
autodoc_typehints_format = "short"
python_display_short_literal_types = True
# Types of other packages, whose documentation cannot be linked without a network, and the types of
# some fields, which are not part of the public API.
nitpick_ignore_regex = [
    ("py:class", r"(collections\.abc|numpy|np|pathlib|torch)\..+"),
    ("py:class", r"(Labels|NDArray|Number|Path|SupportsIndex|Tensor).*"),
    ("py:class", r"cgan_training\.(data|hardware|networks|recipe)\..+"),
    ("py:class", r"cgan_export\.(evaluation|source)\..+"),
]


def include_root_page(_app: Sphinx, _path: Path, _docname: str, content: list[str]) -> None:
    """Make the links of an included page, which is in the root folder, relative to docs/project."""
    content[0] = re.sub(r"\]\((?![a-z]+:|#)", "](../../", content[0])


def complete_docstring(
    _app: Sphinx, what: str, _name: str, value: Any, _options: Options, lines: list[str]
) -> None:
    """Describe a class's fields by their comments, and mark a package's example as code."""
    if what == "class" and (comments := recipe_keys.field_comments(value)):
        lines += ["", *(f":ivar {name}: {comment}" for name, comment in comments.items()), ""]
    if what == "module":
        example = next(number for number, line in enumerate(lines) if line.startswith("    "))
        lines[example:example] = [".. code-block:: python", ""]


def write_math(writer: Any, node: nodes.math | nodes.math_block) -> None:
    """Write a formula as MathML, which browsers show without a script from another host."""
    is_block = isinstance(node, nodes.math_block)
    writer.body.append(tex2mathml(node.astext(), as_block=is_block))
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Register the functions above."""
    app.add_html_math_renderer("mathml", (write_math, None), (write_math, None))
    app.connect("include-read", include_root_page)
    app.connect("autodoc-process-docstring", complete_docstring, priority=900)  # after napoleon
