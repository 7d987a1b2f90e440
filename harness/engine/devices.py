"""Devices: where populations train."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from harness.settings import InvalidStudy, Problem
from harness.settings.machine import cores
from harness.settings.show import counted


def find_devices(text: str) -> list[torch.device]:
    """The devices that `--devices` names.

    Args:
        text: `auto` (every CUDA device, else the CPU), `cpu`, CUDA indices such as `0,1`, or names such as `cuda:0`.

    Raises:
        InvalidStudy: a device is unknown or absent, or named twice, or they are of several kinds.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if text == "auto":
        return [torch.device("cuda", i) for i in range(count)] or [torch.device("cpu")]
    found: list[torch.device] = []
    for part in text.split(","):
        name = f"cuda:{part.strip()}" if part.strip().isdigit() else part.strip()
        known = ["cpu", *(f"cuda:{i}" for i in range(count))]
        if name == "cuda" and count:
            name = "cuda:0"
        if name not in known:
            raise InvalidStudy([Problem("--devices", f"no such device here; there are auto, {', '.join(known)}", part)])
        device = torch.device(name)
        if device in found:
            message = "is named twice; name it once, and --workers says how many processes train on each device"
            raise InvalidStudy([Problem("--devices", message, part)])
        found.append(device)
    if len({device.type for device in found}) > 1:
        message = "must be of one kind: under the same seeds cpu and cuda draw other dropout noise"
        raise InvalidStudy([Problem("--devices", message, text)])
    return found


def device_name(device: torch.device) -> str:
    """A device in words: name, cores or memory."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{device} ({properties.name}, {properties.total_memory / 2**30:.0f} GiB)"
    return f"cpu ({_processor()}, {counted(cores(), 'core')})"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def use(device: torch.device) -> None:
    """From now on this process works on a device: streams, graphs and Triton's kernels are of the current one, wherever tensors lie."""
    if device.type == "cuda":
        torch.cuda.set_device(device)


def cores_of(device: torch.device) -> int:
    """How many processes a device has cores for: those of a CPU, one that drives a CUDA device."""
    return cores() if device.type == "cpu" else 1


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """In the block, matrix products, convolutions and recurrences on CUDA devices are in TF32 only if that is allowed."""
    backends: Any = torch.backends
    parts = backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn
    before = [part.fp32_precision for part in parts]
    try:
        for part in parts:
            part.fp32_precision = "tf32" if allowed else "ieee"
        yield
    finally:
        for part, precision in zip(parts, before, strict=True):
            part.fp32_precision = precision


@contextmanager
def differentiable_twice() -> Iterator[None]:
    """In the block torch takes its plain operations: those of cuDNN, oneDNN and fused attention have no second derivative."""
    backends: Any = torch.backends
    parts = backends.cudnn, backends.mkldnn
    before = [part.enabled for part in parts]
    try:
        for part in parts:
            part.enabled = False
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        for part, enabled in zip(parts, before, strict=True):
            part.enabled = enabled
