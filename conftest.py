"""What all tests need before anything is imported."""

import os
import signal

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # tests import onnxruntime themselves
# GNU OpenMP's threads spin while they wait: ten times slower where another program is at work.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# A job in the background ignores Ctrl-C, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
