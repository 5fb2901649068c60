"""Make the pictures and the notebook of docs/tutorial from the code blocks of its text.

    python benchmarks/tutorial.py            # the notebook
    python benchmarks/tutorial.py --run      # also trains, and writes the pictures (ten minutes)

tests/docs/test_tutorial.py runs the notebook with a single epoch and compares it with the text.
"""

import argparse
import os
import re
from pathlib import Path

from nbformat import v4, writes

FOLDER = Path(__file__).parents[1] / "docs" / "tutorial"
NOTEBOOK = FOLDER / "conditional_gan.ipynb"
BLOCK = re.compile(r"^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"\n!\[[^]]*\]\(\w+\.png\)\n")  # the notebook shows its own
SAVED = re.compile(r"\.save\(\s*\"\w+\.png\"\s*\)$")


def notebook(text: str) -> str:
    """Return the tutorial as a notebook, which shows the pictures where the text saves them."""
    cells = []
    for i, part in enumerate(BLOCK.split(PICTURE.sub("", text))):
        content = SAVED.sub("", part.strip()) if i % 2 else part.strip()
        new = {"source": content, "id": f"cell-{i}"}
        cells.append(v4.new_code_cell(**new) if i % 2 else v4.new_markdown_cell(**new))
    return f"{writes(v4.new_notebook(cells=cells))}\n"


def main() -> None:
    """Write the notebook, and with --run the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", action="store_true", help="also train, and write the pictures")
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    NOTEBOOK.write_text(notebook(text), encoding="utf-8")
    if parser.parse_args().run:
        os.chdir(FOLDER)
        exec("\n".join(BLOCK.findall(text)), {"__name__": "__main__"})


if __name__ == "__main__":
    main()
