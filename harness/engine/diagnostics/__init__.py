"""Diagnostics: what is measured of trained networks beyond the metrics that every run has. One file per idea."""

from harness.engine.diagnostics.setting import Diagnostics

__all__ = ["Diagnostics"]
