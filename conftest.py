"""Settings that must be made before any test imports a package."""

import os
import signal

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # some tests import onnxruntime directly
# Waiting threads of GNU OpenMP spin. Beside other busy processes this makes training ten times
# slower, so limit the spinning, as cgan_training/cli/common.py does.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# The test processes already use the cores, so more threads in each would wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell's background jobs ignore SIGINT, and so would the commands that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
