"""Choose the test images of a dataset without a test part."""

import hashlib
from collections.abc import Sequence
from unicodedata import normalize

IMAGES_PER_TEST_IMAGE = 10


def choose_test_names(names: Sequence[str]) -> set[str]:
    """Return the names of a class's test images: a tenth of its images, rounded down.

    A class of 2 to 9 images has one test image; a class of one image has none. The names with the
    smallest SHA-256 are chosen, so the choice is the same on every machine.
    """
    count = len(names) // IMAGES_PER_TEST_IMAGE or int(len(names) > 1)
    by_hash = sorted(names, key=lambda name: hashlib.sha256(portable(name)).digest())
    return set(by_hash[:count])


def held_out_note(held: int, total: int) -> str:
    """Return the note that some images are held out for testing."""
    return (
        f"there is no test part, so {held:,} of {total:,} images are held out for testing: a tenth "
        "of each class, and one of a class with 2 to 9 images"
    )


def portable(name: str) -> bytes:
    """Return a name as bytes that are equal on every file system, for sorting and hashing."""
    return normalize("NFC", name).encode("utf-8", "surrogateescape")
