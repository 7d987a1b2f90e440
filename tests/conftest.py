"""What all tests share."""

import os

import torch

# Test processes beside each other must not fight over the cores: threads that wait for a barrier spin.
torch.set_num_threads(max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))))
