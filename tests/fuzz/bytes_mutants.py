"""Changes that know nothing of what they change."""

from collections.abc import Callable
from random import Random

INTERESTING = [0, 1, 2, 7, 8, 127, 128, 255, 256, 2**15, 2**16, 2**31 - 1, 2**31, 2**32, 2**40]
INTERESTING += [2**62, 2**63 - 1, 2**63, 2**64 - 1, -1, -2, -(2**31), -(2**63)]


def truncated(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def with_flipped_bits(content: bytes, random: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 8, 64))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def with_other_bytes(content: bytes, random: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice((1, 2, 16))):
        changed[random.randrange(len(changed))] = random.choice((0, 1, 127, 128, 255))
    return bytes(changed)


def with_a_block_moved(content: bytes, random: Random) -> bytes:
    """Cut out, doubled, or put in elsewhere."""
    start = random.randrange(len(content))
    block = content[start : start + random.choice((1, 4, 16, 256, 4096))]
    rest = content[:start] + content[start + len(block) :] if random.random() < 0.5 else content
    if random.random() < 0.3:
        return rest
    place = random.randrange(len(rest) + 1)
    return rest[:place] + block + rest[place:]


def with_noise(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content) + 1)
    end = place + random.choice((0, 1, 16, 256))
    return content[:place] + random.randbytes(random.choice((1, 4, 64))) + content[end:]


def nothing_of_it(_content: bytes, random: Random) -> bytes:
    return random.choice(
        [b"", b"\0", b"\x08", bytes(1000), b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"{}", b"\xff" * 99]
    ) + random.randbytes(random.choice((0, 0, 3, 500)))


MUTATIONS: dict[str, Callable[[bytes, Random], bytes]] = {
    "truncated": truncated,
    "bits flipped": with_flipped_bits,
    "bytes set": with_other_bytes,
    "block moved": with_a_block_moved,
    "noise put in": with_noise,
    "another file": nothing_of_it,
}


def mutated(content: bytes, random: Random) -> tuple[bytes, str]:
    """Return changed bytes, and what was done to them."""
    kind = random.choice([*MUTATIONS])
    return MUTATIONS[kind](content, random), kind
