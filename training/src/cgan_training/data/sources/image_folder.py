"""Load your own images from a folder with one subfolder per class, as ImageFolder in torchvision.

    cats/1.png  cats/more/2.jpg  dogs/1.webp            a tenth of each class is the test part
    train/cats/1.png  ...  test/cats/7.png  ...         or the test part is a folder of its own

The names of the subfolders are the class names. Files in folders below a subfolder belong to its
class. Hidden files and files of other types are ignored.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn
from unicodedata import normalize

import torch

from cgan_training.data.class_names import name_problem
from cgan_training.data.conversion import Conversion
from cgan_training.data.dataset import Dataset, dataset_name_from_path, require_all_classes
from cgan_training.data.files.image_decoding import decode_files, join_names
from cgan_training.data.files.image_file import SUFFIXES
from cgan_training.data.held_out import choose_test_names, held_out_note, portable
from cgan_training.errors import DatasetError

# Names of the folders that hold class folders. Upper and lower case do not matter.
TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "val", "valid", "validation")  # the first that exists is used
MAX_FILES = 10_000_000  # largest number of files in a class folder


@dataclass(frozen=True)
class _Listing:
    """The files of a part of a dataset."""

    folder: Path
    files: dict[str, list[str]]  # sorted paths relative to the folder, by class name
    notes: tuple[str, ...]

    @property
    def paths(self) -> list[Path]:
        """The files of all classes."""
        return [self.folder / path for paths in self.files.values() for path in paths]


def load(root: Path, conversion: Conversion, *, train: bool = True) -> Dataset:
    """Load a folder for load_dataset(); the folder's name becomes the dataset's name.

    With train=True, the files of the test part are decoded too, so that damaged files are reported
    before training starts.
    """
    training, test = _list_parts(root)
    listing, check = (training, test.paths) if train else (test, [])
    names = tuple(listing.files)
    counts = torch.tensor([len(listing.files[name]) for name in names])
    labels = torch.arange(len(names)).repeat_interleave(counts)
    require_all_classes(labels, names, listing.folder, train=train, remedy="remove its folder")
    source = f"images in {listing.folder}"
    images, notes = decode_files(listing.paths, conversion, source, check)
    name, notes = dataset_name_from_path(root), listing.notes + notes
    return Dataset(name, source, images, labels, names, conversion, notes)


def _list_parts(root: Path) -> tuple[_Listing, _Listing]:
    """Return the training part and the test part."""
    parts = {path.name.casefold(): path for path in _subfolders(root) if _holds_classes(path)}
    train_folder = next((parts[name] for name in TRAIN_NAMES if name in parts), None)
    test_folder = next((parts[name] for name in TEST_NAMES if name in parts), None)
    if train_folder is None:
        if test_folder is not None:
            raise DatasetError(
                f"{root} has the folder {test_folder.name}, but no folder train; add the folder "
                f"train, or move the class folders of {test_folder.name} into {root}"
            )
        return _hold_out(_list_classes(root))
    used = {train_folder, test_folder}
    unused = [path.name for path in _subfolders(root) if path not in used]
    notes = (f"folders that are not used: {join_names(unused)}",) if unused else ()
    training = _list_classes(train_folder)
    training = replace(training, notes=training.notes + notes)
    if test_folder is None:
        return _hold_out(training)
    return training, _with_classes(_list_classes(test_folder), tuple(training.files))


def _hold_out(listing: _Listing) -> tuple[_Listing, _Listing]:
    """Split the files of a folder without a test part into a training part and a test part."""
    training, test = {}, {}
    for name, paths in listing.files.items():
        chosen = choose_test_names(paths)
        training[name] = [path for path in paths if path not in chosen]
        test[name] = [path for path in paths if path in chosen]
    held, total = (sum(map(len, files.values())) for files in (test, listing.files))
    notes = (*listing.notes, held_out_note(held, total))
    folder = listing.folder
    return _Listing(folder, training, notes), _Listing(folder, test, notes)


def _with_classes(test: _Listing, names: tuple[str, ...]) -> _Listing:
    """Return the files of a test part in the order of the classes of the training part."""
    for name in test.files:
        if name not in names:
            raise DatasetError(
                f"class {name!r} of {test.folder} has no training images; add some, or remove its "
                "folder"
            )
    return _Listing(test.folder, {name: test.files.get(name, []) for name in names}, test.notes)


def _list_classes(folder: Path) -> _Listing:
    """List the images of each subfolder, in the order of the class names."""
    files: dict[str, list[str]] = {}
    other_files: list[str] = []
    empty: list[str] = []
    for subfolder in _subfolders(folder):
        name = normalize("NFC", subfolder.name.strip())
        if problem := name_problem(name):
            shown = ascii(subfolder.name)
            raise DatasetError(f"the class name {shown} in {folder} {problem}; rename the folder")
        images = _walk(folder, subfolder, other_files)
        if not images:
            empty.append(subfolder.name)
        elif name in files:
            raise DatasetError(f"{folder} has two folders of the name {name!r}; rename one")
        else:
            files[name] = images
    outside = [path.name for path in _entries(folder) if path.is_file() and _is_image(path.name)]
    if not files:
        advice = "put the images of each class into a folder with the name of the class"
        if outside:
            count = "one image" if len(outside) == 1 else f"{len(outside):,} images"
            raise DatasetError(
                f"{folder} has {count}, but no folder for each class; give its parent folder if it "
                f"is the folder of one class, or {advice}"
            )
        raise DatasetError(f"{folder} has no images in folders below it; {advice}")
    notes = [
        f"{text}: {join_names(names)}"
        for text, names in (
            ("images outside the class folders, which are not used", outside),
            ("folders without images, which are not classes", empty),
            ("files of other types, which are not used", other_files),
        )
        if names
    ]
    if len(files) == 1:
        (name,) = files
        notes.append(
            f"there is only one class, {name!r}; for more, give the folder that holds them"
        )
    return _Listing(folder, dict(sorted(files.items())), tuple(notes))


def _walk(folder: Path, subfolder: Path, other_files: list[str]) -> list[str]:
    """Return the sorted images below a subfolder, relative to `folder`.

    Other files are appended to `other_files`. Each target of a link is visited once.
    """
    images, seen = [], {os.path.realpath(subfolder)}
    for root, folders, names in os.walk(subfolder, followlinks=True, onerror=_raise):
        kept = []
        for name in folders:
            target = os.path.realpath(os.path.join(root, name))  # noqa: PTH118
            if not _is_hidden(name) and target not in seen:
                seen.add(target)
                kept.append(name)
        folders[:] = kept
        for name in names:
            path = Path(root, name).relative_to(folder).as_posix()
            if _is_image(name):
                images.append(path)
            elif not _is_hidden(name):
                other_files.append(path)
        if len(images) + len(other_files) > MAX_FILES:
            raise DatasetError(
                f"{subfolder} has more than {MAX_FILES:,} files; give another folder"
            )
    return sorted(images, key=portable)


def _entries(folder: Path) -> list[Path]:
    """Return the files and folders in a folder, except for hidden ones, sorted by name."""
    try:
        entries = [path for path in folder.iterdir() if not _is_hidden(path.name)]
    except OSError as error:
        _raise(error)
    return sorted(entries, key=lambda path: portable(path.name))


def _subfolders(folder: Path) -> Iterator[Path]:
    return (path for path in _entries(folder) if path.is_dir())


def _holds_classes(folder: Path) -> bool:
    """Return whether a folder holds folders but no images, as train/ does."""
    entries = _entries(folder)
    has_images = any(_is_image(path.name) and path.is_file() for path in entries)
    return any(path.is_dir() for path in entries) and not has_images


def _raise(error: OSError) -> NoReturn:
    raise DatasetError(
        f"cannot read {error.filename}: {error.strerror}; check its permissions"
    ) from error


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX")) or name.lower() in ("thumbs.db", "desktop.ini")
