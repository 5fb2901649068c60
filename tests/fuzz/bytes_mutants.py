"""Mutations of bytes that ignore the file format."""

from random import Random

INTERESTING = [0, 1, 2, 7, 8, 127, 128, 255, 256, 2**15, 2**16, 2**31 - 1, 2**31, 2**32, 2**40]
INTERESTING += [2**62, 2**63 - 1, 2**63, 2**64 - 1, -1, -2, -(2**31), -(2**63)]
KINDS = ("truncate", "flip bits", "set bytes", "move block", "insert random bytes", "replace file")
OTHER_FILES = [b"", b"\0", b"\x08", bytes(1000), b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"{}"]
OTHER_FILES.append(b"\xff" * 99)


def mutate(content: bytes, random: Random) -> tuple[bytes, str]:
    """Return changed bytes and the kind of mutation. The content must not be empty."""
    changed = bytearray(content)
    start = random.randrange(len(content))
    match kind := random.choice(KINDS):
        case "truncate":
            del changed[start:]
        case "flip bits":
            for _ in range(random.choice((1, 1, 2, 8, 64))):
                changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
        case "set bytes":
            for _ in range(random.choice((1, 2, 16))):
                changed[random.randrange(len(changed))] = random.choice((0, 1, 127, 128, 255))
        case "move block":  # or copy it, or delete it
            block = content[start : start + random.choice((1, 4, 16, 256, 4096))]
            if random.random() < 0.5:
                del changed[start : start + len(block)]
            if random.random() < 0.7:
                target = random.randrange(len(changed) + 1)
                changed[target:target] = block
        case "insert random bytes":
            end = start + random.choice((0, 1, 16, 256))
            changed[start:end] = random.randbytes(random.choice((1, 4, 64)))
        case _:
            changed[:] = random.choice(OTHER_FILES) + random.randbytes(
                random.choice((0, 0, 3, 500))
            )
    return bytes(changed), kind
