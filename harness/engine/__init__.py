"""The engine: runs → curves and numbers. Pure: it knows neither storage nor tracking nor a command line.

The flow: a `Setup` and a seed are a `Run` (`setup`, `runs`); runs that can train together are planned into populations
(`planning`), as wide as pays (`population_width`, `cost`, `timing`, `width_cache`) and as memory allows (`memory_budget`).
`train` is the training loop, on the parts that `training` puts together: a `Population` of stacked modules (`population` and
what it names, `layers/`), its examples (`feed`), its training step (`step`, `update`, `capture`) and what is recorded of it
(`history`, `evaluation`, `stability`, `diagnostics/`, `final_metrics`, `run_tables`). `devices` and `allocator` know the machine.
"""
