"""Settings that must be made before any test imports a package."""

import os
import signal

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # some tests import onnxruntime directly
# GNU OpenMP's waiting threads spin. While other programs are busy, this slows training tenfold.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# There is a test process per core: more threads in each would only wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell's background jobs ignore SIGINT, and so would the commands that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
