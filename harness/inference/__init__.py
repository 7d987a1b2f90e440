"""Inference: tables of runs → estimates, intervals and verdicts on claims."""
