"""Write the tables of cgan_runtime/model_file into the web page and docs/contract.md.

    python web/generate.py    # after a change of cgan_runtime/model_file

The page gets limits, protobuf fields, operators and messages in web/src/model/tables.js, and
docs/contract.md gets a table of the operators.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cgan_runtime.model_file import checksum, contract, messages, protobuf
from cgan_runtime.model_file.validation import rules, symbolic

ROOT = Path(__file__).parents[1]
TABLES = ROOT / "web" / "src" / "model" / "tables.js"
CONTRACT = ROOT / "docs" / "contract.md"
LIMITS = {  # names of the limits that the page uses, by module
    contract: "MAX_BATCH MAX_DESCRIPTION MAX_GOLDEN_BYTES MAX_JSON_LEVELS MAX_OPSET",
    messages: "MAX_QUOTED",
    protobuf: "MAX_FIELDS",
    rules: "MAX_AXES MAX_ELEMENTS MAX_FILE_BYTES MAX_IMAGE_ELEMENTS MAX_IMAGE_MULTIPLICATIONS "
    "MAX_INPUTS_AND_OUTPUTS MAX_METADATA MAX_MULTIPLICATIONS MAX_NODES MAX_TENSORS",
    symbolic: "MAX_KNOWN_VALUES",
}
START, END = "<!-- operators: web/generate.py -->\n", "<!-- end of operators -->\n"


def tables_js() -> str:
    """Return a JavaScript module with the tables."""
    tables: dict[str, Mapping[Any, Any]] = {
        "LIMITS": {
            name: getattr(module, name)
            for module, names in LIMITS.items()
            for name in names.split()
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
            number: {"name": name, "bytes": rules.ELEMENT_BYTES[number]}
            for number, name in rules.TYPE_NAMES.items()
        },
        "MODEL_SCHEMA": _schema(rules.MODEL_SCHEMA),
        "ATTRIBUTE_KINDS": rules.ATTRIBUTE_KINDS,
        "VARIABLES": rules.VARIABLES,
        "OPERATORS": {name: _operator(operator) for name, operator in rules.OPERATORS.items()},
        "MESSAGES": messages.MESSAGES,
        "PAGE_ADVICE": messages.PAGE_ADVICE,
    }
    text = "/** Written by web/generate.py from cgan_runtime/model_file. Do not edit. */\n"
    for name, table in tables.items():
        lines = [f"  {json.dumps(key)}: {json.dumps(value)},\n" for key, value in table.items()]
        text += f"export const {name} = {{\n{''.join(lines)}}};\n"
    return text


def _operator(operator: rules.Operator) -> dict[str, Any]:
    """Return the fields of an operator, without those that have their defaults."""
    fields = operator._asdict()
    fields["attributes"] = {
        name: _attribute(attribute) for name, attribute in operator.attributes.items()
    }
    defaults = operator._field_defaults
    return {name: value for name, value in fields.items() if value != defaults.get(name)}


def _attribute(attribute: rules.Attribute) -> list[Any]:
    """Return [kind, default], or [kind, default, choices]."""
    kind, default, choices = attribute
    return [kind, default, choices] if choices else [kind, default]


def _schema(schema: protobuf.Schema) -> dict[int, Any]:
    """Return the fields of a message by number: [name, kind], or [name, kind, true] if repeated."""
    fields = {}
    for number, (name, kind, repeated) in schema.items():
        field = [name, _schema(kind) if isinstance(kind, dict) else kind.__name__]
        fields[number] = [*field, True] if repeated else field
    return fields


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
    return groups.get(types) or " or ".join(rules.TYPE_NAMES[number] for number in types)


def contract_page(page: str) -> str:
    """Return the text of docs/contract.md with the current table."""
    before, rest = page.split(START)
    _, after = rest.split(END)
    return f"{before}{START}\n{operator_table()}\n{END}{after}"


if __name__ == "__main__":
    TABLES.write_text(tables_js(), encoding="utf-8")
    CONTRACT.write_text(contract_page(CONTRACT.read_text(encoding="utf-8")), encoding="utf-8")
