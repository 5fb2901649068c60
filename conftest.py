"""What all tests need before anything is imported."""

import os

# GNU OpenMP's threads spin while they wait: ten times slower where another program is at work.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
