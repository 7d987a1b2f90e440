"""Ablations of dropout and gradient clipping that can be trusted, in about the time one run takes elsewhere."""

import lazy_loader

# What `__init__.pyi` names is imported when it is used: a command can then answer, or start processes, before torch is there.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
