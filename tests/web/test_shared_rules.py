"""The page and docs/contract.md have the rules of cgan_runtime, which web/generate.py writes."""

from pathlib import Path

import generate

from cgan_runtime.model_file.messages import MESSAGES, message
from cgan_runtime.model_file.validation.rules import OPERATORS
from cgan_runtime.model_file.validation.shape_inference import RULES

WEB = Path(__file__).parents[2] / "web"


def test_rules_of_the_page_are_current() -> None:
    written = generate.RULES.read_text(encoding="utf-8")
    assert written == generate.rules_js(), "run python web/generate.py"


def test_operators_of_the_contract_page_are_current() -> None:
    page = generate.CONTRACT.read_text(encoding="utf-8")
    assert page == generate.contract_page(page), "run python web/generate.py"
    for operator in OPERATORS:
        assert f"\n| {operator} | " in page


def test_every_operator_has_a_shape_rule_in_both_languages() -> None:
    used = {operator.rule for operator in OPERATORS.values()}
    assert used == set(RULES)
    tables = ""
    for name in ("images", "layers", "layout"):
        source = (WEB / "src" / f"{name}.js").read_text(encoding="utf-8")
        tables += source[source.index("_RULES = {") :]
    assert all(f"\n  {rule}" in tables for rule in used)


def test_messages_about_a_file_end_with_advice() -> None:
    for text in MESSAGES.values():
        assert ("{source}" in text) == ("; " in text), text


def test_values_are_filled_into_a_message() -> None:
    text = message("undefined input", operator="Relu", name="'{x}'")
    assert text == "operator Relu with undefined input '{x}'"
