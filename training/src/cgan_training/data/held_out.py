"""Choose the test images of a dataset without a test part."""

import hashlib
from collections.abc import Sequence
from unicodedata import normalize

TEST_SHARE = 10  # one image of this many


def held_out(names: Sequence[str]) -> set[str]:
    """Return the images of one class that become its test images: a tenth, but one of 2 to 9.

    They are those with the smallest SHA-256 of their names, so that they do not depend on the
    machine. A class of one image has no test images.
    """
    count = len(names) // TEST_SHARE or int(len(names) > 1)
    by_hash = sorted(names, key=lambda each: hashlib.sha256(portable(each)).digest())
    return set(by_hash[:count])


def held_out_note(held: int, total: int) -> str:
    """Return what the user is told."""
    return (
        f"there is no test part: {held:,} of {total:,} images are held out for it, a tenth of "
        "each class, but at least one"
    )


def portable(name: str) -> bytes:
    """Return a name as bytes that are equal on every file system, for sorting and hashing."""
    return normalize("NFC", name).encode("utf-8", "surrogateescape")
