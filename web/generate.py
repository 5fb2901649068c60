"""Write what cgan-run and the web page share, from the tables of cgan_runtime.

    python web/generate.py    # after a change of cgan_runtime/model_file

writes web/src/rules.js, and the operator table of docs/contract.md.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cgan_runtime.model_file import checksum, contract, messages, protobuf
from cgan_runtime.model_file.validation import rules, symbolic

ROOT = Path(__file__).parents[1]
RULES = ROOT / "web" / "src" / "rules.js"
CONTRACT = ROOT / "docs" / "contract.md"
START, END = "<!-- operators: web/generate.py -->\n", "<!-- end of operators -->\n"


def rules_js() -> str:
    """Return a JavaScript module with the tables."""
    tables: dict[str, Mapping[Any, Any]] = {
        "LIMITS": {
            name: getattr(module, name)
            for module in (rules, contract, protobuf, symbolic)
            for name in vars(module)
            if name.startswith("MAX_") and isinstance(getattr(module, name), int)
        }
        | {"MIN_OPSET": contract.OPSET, "IR_VERSION": contract.IR_VERSION},
        "CONTRACT": {
            "version": contract.CONTRACT_VERSION,
            "noise": contract.NOISE,
            "label": contract.LABEL,
            "image": contract.IMAGE,
            "batch": contract.BATCH_AXIS,
            "prefix": contract.PREFIX,
            "contractKey": contract.CONTRACT_KEY,
            "contentKey": contract.CONTENT_KEY,
            "bitExactKey": contract.BIT_EXACT_KEY,
            "channels": contract.CHANNELS,
            "fields": contract.FIELDS,
            "objects": contract.OBJECT_FIELDS,
            "checksumBytes": checksum.CHECKSUM_BYTES,
        },
        "TYPES": {
            number: {"name": name, "bytes": rules.BYTES[number]}
            for number, name in rules.TYPE_NAMES.items()
        },
        "MODEL_SCHEMA": _schema(rules.MODEL_SCHEMA),
        "ATTRIBUTE_KINDS": rules.ATTRIBUTE_KINDS,
        "VARIABLES": rules.VARIABLES,
        "OPERATORS": {name: _operator(each) for name, each in rules.OPERATORS.items()},
        "MESSAGES": messages.MESSAGES,
        "PAGE_ADVICE": messages.PAGE_ADVICE,
    }
    text = "/** Written by web/generate.py from cgan_runtime/model_file. Do not edit. */\n"
    for name, table in tables.items():
        lines = [f"  {json.dumps(key)}: {json.dumps(value)},\n" for key, value in table.items()]
        text += f"export const {name} = {{\n{''.join(lines)}}};\n"
    return text


def _operator(operator: rules.Operator) -> dict[str, Any]:
    """Return an operator without the fields that have their defaults."""
    defaults = operator._field_defaults
    fields = {key: value for key, value in operator._asdict().items() if key not in defaults}
    attributes = {
        name: [each.kind, each.default, *([each.choices] if each.choices else [])]
        for name, each in operator.attributes.items()
    }
    return (
        fields
        | ({"attributes": attributes} if attributes else {})
        | ({"output": operator.output} if operator.output != defaults["output"] else {})
        | ({"variadic": True} if operator.variadic else {})
    )


def _schema(schema: protobuf.Schema) -> dict[int, Any]:
    """Return the fields of a message by number: kind and whether they are repeated."""
    return {
        number: {
            "kind": _schema(kind) if isinstance(kind, dict) else kind.__name__,
            "repeated": repeated,
        }
        for number, (kind, repeated) in schema.items()
    }


def operator_table() -> str:
    """Return the operators as a Markdown table."""
    lines = ["| operator | inputs | attributes |", "|---|---|---|"]
    for name, operator in rules.OPERATORS.items():
        inputs = [
            _types_of(operator, variable) + (" (optional)" if index >= operator.required else "")
            for index, variable in enumerate(operator.inputs)
        ]
        inputs += ["..."] * operator.variadic
        attributes = ", ".join(operator.attributes) or "none"
        lines.append(f"| {name} | {'; '.join(inputs) or 'none'} | {attributes} |")
    return "\n".join(lines) + "\n"


def _types_of(operator: rules.Operator, variable: str) -> str:
    types = operator.types if variable == "T" else rules.VARIABLES[variable]
    groups = {rules.ANY: "any", rules.NUMBER: "number", rules.REAL: "real"}
    return groups.get(types) or " or ".join(rules.TYPE_NAMES[each] for each in types)


def contract_page(page: str) -> str:
    """Return the text of docs/contract.md with the current table."""
    before, rest = page.split(START)
    _, after = rest.split(END)
    return f"{before}{START}\n{operator_table()}\n{END}{after}"


if __name__ == "__main__":
    RULES.write_text(rules_js(), encoding="utf-8")
    CONTRACT.write_text(contract_page(CONTRACT.read_text(encoding="utf-8")), encoding="utf-8")
