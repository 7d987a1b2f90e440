"""The engine: runs → curves and numbers. Pure: it knows neither storage nor tracking nor a command line.

The flow: a `Setup` and a seed are a `Run` (`setup`, `runs`). How runs train best is chosen (`choice`): as a population where
that is shown to equal the plain loop (`proof`) and as wide as pays (`population_width`, `timing`) and memory allows
(`memory_budget`), else by the plain loop; this is their `Way` (`way`, `way_cache`), by which they are planned into populations
(`planning`). `train` is the training loop, on the parts that `training` puts together: the `Members` that train, which are one
run as written (`plain_member`) or stacked modules (`population` and what it names); their examples (`feed`), their training step
(`step`, `update`, `capture`) and what is recorded of them (`history`, `evaluation`, `stability`, `diagnostics/`,
`final_metrics`, `run_tables`). What a module asks of torch in its forward pass is answered by `functions/`, dropout with the
noise of `noise` and `masks`. `devices` and `allocator` know the machine.
"""
