"""Count how many nodes of a session's graph each provider computes.

If a provider supports none of the nodes, the CPU computes all of them, but the session still lists
the provider.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from cgan_runtime.errors import suppress_internal
from cgan_runtime.model_file.contract import LABEL, NOISE
from cgan_runtime.providers import short_name

# Session option of onnxruntime 1.24 and later; earlier releases ignore it.
RECORD_ASSIGNMENT = "session.record_ep_graph_assignment_info"


def count_nodes(session: Any, open_profiled: Callable[[str], Any]) -> dict[str, int]:
    """Return the number of nodes by the short name of their provider; {} if that is unknown.

    Args:
        session: a session whose options set RECORD_ASSIGNMENT to "1".
        open_profiled: opens a second session, which writes a profile to a file with this prefix. It
            is called only if onnxruntime has no function for the assignment (before 1.24).
    """
    if hasattr(session, "get_provider_graph_assignment_info"):
        counts: Counter[str] = Counter()
        for part in session.get_provider_graph_assignment_info():
            counts[short_name(part.ep_name)] += len(part.get_nodes())
        return dict(counts)
    # OSError: there is no folder that can be written.
    with suppress_internal(OSError), TemporaryDirectory() as folder:
        profiled = open_profiled(str(Path(folder) / "profile"))
        batch, noise_dim = profiled.get_inputs()[0].shape
        size = batch if isinstance(batch, int) else 1
        noise, labels = np.zeros((size, noise_dim), np.float32), np.zeros(size, np.int64)
        profiled.run(None, {NOISE: noise, LABEL: labels})
        events = json.loads(Path(profiled.end_profiling()).read_bytes())
        providers = [
            event["args"]["provider"] for event in events if "provider" in event.get("args", {})
        ]
        return dict(Counter(map(short_name, providers)))
    return {}
