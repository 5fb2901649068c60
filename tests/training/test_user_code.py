"""Names of the user's own code, such as my_module:MyGenerator."""

import sys
from pathlib import Path

import numpy as np
import pytest

from cgan_training.errors import UserCodeError
from cgan_training.user_code import import_object, place_of


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("named_mine", "named_broken", "named_needy"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    Path("named_mine.py").write_text("class A:\n    class B:\n        value = 3\n")
    Path("named_broken.py").write_text("1 / 0\n")
    Path("named_needy.py").write_text("import not_installed_anywhere\n")


@pytest.mark.parametrize(("name", "expected"), [("named_mine:A.B.value", 3), ("math:tau", 6.28)])
def test_a_module_of_the_current_folder_or_an_installed_one_is_imported(
    name: str, expected: float
) -> None:
    assert import_object(name) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("named_mine", "'named_mine' is not of the form my_package.my_module:Name"),
        (
            "named_mine.py:A",
            "there is no module 'named_mine.py' for named_mine.py:A; write named_mine:A",
        ),
        ("../named_mine:A", "is not of the form"),
        ("../named_mine.py:A", "; run the command in the folder .. and write named_mine:A"),
        (
            "nets/my-net.py:A",
            "; rename my-net.py to the name of a Python module, such as my_net.py",
        ),
        ("nets/named_mine.py", "; write nets.named_mine:NAME, where NAME is an object in named_m"),
        ("no_such.module:A", "there is no module 'no_such' for no_such.module:A; run the command"),
        ("named_mine:C", "the module 'named_mine' has no 'C'; check the name after the colon"),
        (
            "named_broken:A",
            "cannot import named_broken:A at named_broken.py:1: ZeroDivision",
        ),
        ("named_needy:A", "cannot import named_needy:A at named_needy.py:1: ModuleNotFoundError: "),
    ],
)
def test_a_name_that_cannot_be_imported_is_one_clear_line(name: str, message: str) -> None:
    with pytest.raises(UserCodeError) as caught:
        import_object(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_place_of_an_error_in_an_installed_package_is_the_line_that_called_it() -> None:
    with pytest.raises(ValueError, match="need at least one array") as caught:
        np.vstack([])
    assert place_of(caught.value).startswith(" at test_user_code.py:")
