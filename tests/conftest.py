"""What all tests share."""

import os

import torch

# Test processes beside each other, and those that they start, must not fight over the cores: threads that wait spin.
threads = max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
os.environ.setdefault("OMP_NUM_THREADS", str(threads))
torch.set_num_threads(threads)
