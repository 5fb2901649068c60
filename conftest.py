"""Settings that must be made before any test imports a package."""

import os
import signal

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # some tests import onnxruntime directly
# GNU OpenMP's waiting threads spin. While other programs are busy, this slows training tenfold.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# A shell's background jobs ignore SIGINT, and so would the commands that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
