"""Modules as they are written: what `torch.compile` has made of them or of their functions stays aside where the harness runs them.

A compiler would trace the answers that a forward pass gets (`functions.answers`), and fail at them.
"""

import sys
from contextlib import AbstractContextManager, nullcontext

import torch


def uncompiled() -> AbstractContextManager[object]:
    """In the block whatever was compiled runs as it is written."""
    if "torch._dynamo" not in sys.modules:  # which takes a second to import; nothing is compiled without it
        return nullcontext()
    eager: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return eager
