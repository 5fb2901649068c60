"""The page and docs/contract.md have the tables of cgan_runtime, which web/generate.py writes."""

from pathlib import Path

import generate

from cgan_runtime.model_file.messages import MESSAGES, error_message
from cgan_runtime.model_file.validation.graph_inference import SHAPE_RULES
from cgan_runtime.model_file.validation.rules import OPERATORS

WEB = Path(__file__).parents[2] / "web"


def test_tables_of_the_page_are_current() -> None:
    written = generate.TABLES.read_text(encoding="utf-8")
    assert written == generate.tables_js(), "run python web/generate.py"


def test_operators_of_the_contract_page_are_current() -> None:
    page = generate.CONTRACT.read_text(encoding="utf-8")
    assert page == generate.contract_page(page), "run python web/generate.py"
    for operator in OPERATORS:
        assert f"\n| {operator} | " in page


def test_every_operator_has_a_shape_rule_in_both_languages() -> None:
    used = {operator.rule for operator in OPERATORS.values()}
    assert used == set(SHAPE_RULES)
    tables = ""
    for name in ("math_rules", "spatial_rules", "tensor_rules"):
        source = (WEB / "src/model/validation" / f"{name}.js").read_text(encoding="utf-8")
        tables += source[source.index("_RULES = {") :]
    assert all(f"\n  {rule}" in tables for rule in used)


def test_messages_about_a_file_end_with_advice() -> None:
    for text in MESSAGES.values():
        assert ("{source}" in text) == ("; " in text), text


def test_values_are_filled_into_a_message() -> None:
    text = error_message("undefined input", operator="Relu", name="'{x}'")
    assert text == "operator Relu with undefined input '{x}'"
