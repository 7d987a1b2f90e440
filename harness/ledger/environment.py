"""The environment: which versions and which processor made results, and whether others can give the same bits."""

import os
import platform
import re
from collections.abc import Mapping
from importlib.metadata import version

import torch

from harness.settings.machine import cores

LIBRARIES = ("torch", "optuna", "mlflow", "pandas", "numpy", "scipy", "scikit-learn")

DECISIVE = ("python", "torch", "numpy", "platform", "instructions", "mkl_cbwr", "devices")
"""What must agree for a run to come out the same to the bit; the number of cores need not."""


def environment(devices: str) -> dict[str, str]:
    """Versions and platform of this process, by name, and the devices that train, in words.

    `mkl_cbwr` says by which kernels Intel's library multiplies matrices, see `harness.__init__`.
    """
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
        "platform": platform.platform(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "mkl_cbwr": os.environ.get("MKL_CBWR", "off"),
        "devices": devices,
        "cores": str(cores()),
    }


def joint(environments: list[dict[str, str]]) -> dict[str, str]:
    """Several environments as one: where they differ, all values.

    >>> joint([{"torch": "2.13", "numpy": "2.4"}, {"torch": "2.14", "numpy": "2.4"}])
    {'torch': '2.13; 2.14', 'numpy': '2.4'}
    """
    names = dict.fromkeys(name for each in environments for name in each)
    return {name: "; ".join(dict.fromkeys(each.get(name, "unknown") for each in environments)) for name in names}


def obstacles(recorded: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Why a run that was recorded in one environment need not come out the same to the bit in another; none: it must.

    >>> obstacles({"torch": "2.12"} | (here := dict.fromkeys(DECISIVE[2:], "x")), here | {"torch": "2.13"})
    ['python: not recorded', 'torch: 2.12 there, 2.13 here']
    """
    found = []
    for name in DECISIVE:
        if name not in recorded:
            found.append(f"{name}: not recorded")
        elif _kinds(recorded[name]) != _kinds(here.get(name, "")):
            found.append(f"{name}: {recorded[name]} there, {here.get(name, 'unknown')} here")
    if "cuda" in recorded.get("devices", ""):
        found.append("devices: on a GPU equal bits are not promised")
    return found


def _kinds(text: str) -> set[str]:
    """Different devices of a description, cores and indices left out; any other text is one kind."""
    plain = re.sub(r"cuda:\d+", "cuda", re.sub(r", \d+ (cores?|threads)\)", ")", text))
    return set(re.split(r"(?<=\)), (?=cpu|cuda)", plain))
