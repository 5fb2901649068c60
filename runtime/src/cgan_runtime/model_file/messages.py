"""The error messages about a model file, which cgan-run and the web page share.

web/generate.py writes them into the page, so that both reject a file with the same words.
"""

MAX_QUOTED = 40  # largest number of characters of a quoted name in a message

MESSAGES = {
    # Protobuf
    "unknown field": "unknown field {number}",
    "unknown wire type": "unknown wire type {wire}",
    "unexpected wire type": "unexpected wire type {wire} of field {number}",
    "duplicate field": "field {number} occurs twice",
    "truncated": "truncated",
    "not UTF-8": "text that is not UTF-8",
    "too many fields": "more than {limit} fields",
    "number too long": "a number of more than 64 bits",
    # The file
    "empty": "{source} is empty; copy or export it again",
    "too large": "{source} is larger than the limit of {limit} bytes; check the path",
    "not a model": (
        "{source} is not an ONNX model, or is truncated or damaged ({reason}); "
        "copy or export it again"
    ),
    "no checksum": (
        "{source} does not end with {key}: it was changed or truncated after its export, or a "
        "development version wrote it; copy or export it again"
    ),
    "wrong checksum": (
        "{source} was changed after its export: the SHA-256 of its content differs from its "
        "{key}; copy or export it again"
    ),
    "not written": (
        "{source} contains something that cgan-export does not write ({reason}); export it again"
    ),
    "not supported": (
        "{source} contains a network that cannot follow the model contract ({reason}); change the "
        "network as docs/contract.md describes, and export it again"
    ),
    # The graph
    "operator sets": "operator sets {opsets}",
    "IR version": "IR version {version}",
    "too much metadata": "more than {limit} characters of metadata",
    "duplicate key": "a duplicate metadata key",
    "no graph": "no graph",
    "too many parts": "too large: {nodes} nodes, {tensors} tensors, {values} inputs and outputs",
    "too much work": (
        "too large: {elements} tensor elements and {multiplications} multiplications for one image"
    ),
    "output shape": "an output whose shape differs from its declaration",
    "output type": "an output whose type differs from its declaration",
    "nameless": "tensor '' without a name",
    "defined twice": "tensor {name} defined twice",
    "shape": "tensor {name} of shape {shape}",
    "tensor type": "tensor {name} of type {type}",
    "tensor size": "tensor {name} whose size does not match its shape",
    "operator": "operator {operator}{domain} is not supported",
    "attribute": "operator {operator} with attribute {attribute}",
    "attribute value": "operator {operator} whose attribute {attribute} has a wrong value",
    "missing attribute": "operator {operator} without attribute {attribute}",
    "undefined input": "operator {operator} with undefined input {name}",
    "counts": "operator {operator} with {inputs} inputs and {outputs} outputs",
    "input type": "operator {operator} with an input of type {type}",
    "incompatible": (
        "the inputs or attributes of {operator}, which computes {name}, are incompatible"
    ),
    "mixed images": (
        "{operator}, which computes {name}, mixes the images of a batch or uses their number"
    ),
    "unknown shape": (
        "the shape of {name}, which {operator} computes, depends on the noise or the label"
    ),
    # The contract
    "no contract": (
        "{source} is an ONNX model, but not one that cgan-export wrote (its metadata lacks {key}); "
        "export one with cgan-export"
    ),
    "malformed version": (
        "{source} has a malformed contract version {version}; export it again with cgan-export"
    ),
    "newer contract": (
        "{source} follows model contract {version}, but only contract {supported} is supported; "
        "upgrade cgan-runtime"
    ),
    "older contract": (
        "{source} follows model contract {version}, but only contract {supported} is supported; "
        "export it again with cgan-export"
    ),
    "malformed metadata": (
        "{source} has malformed contract metadata ({reason}); export it again with cgan-export"
    ),
    "other tensors": (
        "{source} breaks the model contract: its {kind} is {actual}, expected {expected}; "
        "export it again with cgan-export"
    ),
    "no image": "the model has no output '{name}' with 1 or 3 channels and a fixed "
    "height and width",
    "missing key": "{key} is missing",
    "not JSON": "{key} is not JSON, or has a lone surrogate or too many levels or digits",
    "not an object": "{key} is not a JSON object",
    "not a boolean": "{key} is neither true nor false",
    "not a list": "{key} is not a non-empty list of {kind}",
    "out of range": "{key}: {value} is not a whole number from {minimum} to {maximum}",
    "golden images": "the golden sample is not base64 text, or exceeds {limit} bytes",
    "golden size": "the golden sample is damaged or has the wrong size",
}

# Visitors of the page need different advice than users of the command line.
PAGE_ADVICE = {
    "check the path": "open another file",
    "upgrade cgan-runtime": "use a newer version of the page",
}


def error_message(name: str, /, **values: object) -> str:
    """Return a message of MESSAGES with its values filled in."""
    return MESSAGES[name].format(**values)


def quoted(text: str) -> str:
    """Return repr(text), cut to MAX_QUOTED characters."""
    return repr(text)[:MAX_QUOTED]
