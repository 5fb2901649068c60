"""String literals of the text formats that the targets write."""


def quoted(text: str) -> str:
    """Return a string literal of C and of protobuf's text format, in UTF-8.

    Question marks are escaped too, because two of them begin a trigraph of C.
    """
    escaped = (
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{"".join(escaped)}"'
