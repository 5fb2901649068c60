"""Write the noise of walks to stdout, as the page in web/ must interpolate it.

    python tests/web/interpolations.py < walks.json

walks.json is {"walks": [[seed_a, seed_b], ...], "count": images, "noise_dim": values of each,
"frames": number}. The output is float32 [walks, frames, count, noise_dim].
"""

import json
import sys

from cgan_runtime.noise import interpolate, standard_normal


def main() -> None:
    """Interpolate between the noise of the seeds of each walk."""
    request = json.load(sys.stdin)
    shape, frames = (request["count"], request["noise_dim"]), request["frames"]
    for walk in request["walks"]:
        first, last = (standard_normal(seed, 0, *shape) for seed in walk)
        for frame in range(frames):
            position = frame / (frames - 1)
            sys.stdout.buffer.write(interpolate(first, last, position).tobytes())


if __name__ == "__main__":
    main()
