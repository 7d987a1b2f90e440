"""The same training steps in JAX, `jit(vmap(…))` with `scan` over steps and time, against a population. Run by hand:

    pip install -e '.[bench]'
    python tests/benchmarks/jax_peer.py [WORKLOAD ...]      # prints a table

Written as a JAX user would: one model as pure functions, `vmap` over members, `jit` over several steps at once. It has the
whole machine, as XLA takes it; several widths are tried and the best one counts. No two contenders ever run at once.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any

import torch

from harness.audit.bench import measure
from harness.audit.contenders import STEPS
from harness.audit.workloads import WORKLOADS

WIDTHS = (16, 64, 256)
CPU = torch.device("cpu")


def jax_steps(name: str, width: int) -> Callable[[], None]:
    """`STEPS` training steps of `width` members of a workload: dropout, forward, backward, clip by global norm, update."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    workload = WORKLOADS[name]
    features, b, classes = workload.shape[-1], workload.batch_size, workload.classes
    settings = workload.model.values()
    hidden = {"mlp-784": (256, 128), "mlp-64": (256, 128), "mlp-tiny": (64, 32), "module": (128, 128)}.get(name)
    units = settings.get("hidden", 64) if hidden is None else 0
    gates = {"lstm": 4, "gru": 3}.get(name, 1)
    p_drop = {"char-rnn": 0.2, "rnn-long": 0.0, "rnn-rows": 0.0, "lstm": 0.0, "gru": 0.0}.get(name, 0.5)
    rng = np.random.default_rng(0)

    def weights(rows: int, columns: int) -> dict[str, Any]:
        bound = columns**-0.5
        return {
            "w": jnp.asarray(rng.uniform(-bound, bound, (width, columns, rows)), jnp.float32),
            "b": jnp.zeros((width, rows), jnp.float32),
        }

    if hidden is not None:
        sizes = (features, *hidden, classes)
        params: dict[str, Any] = {f"l{i}": weights(o, n) for i, (n, o) in enumerate(pairwise(sizes))}
        if name == "module":
            params["norm"] = {"g": jnp.ones((width, 128)), "b": jnp.zeros((width, 128))}
    else:
        inputs = workload.vocabulary or features
        params = {
            "ih": weights(gates * units, inputs),
            "hh": weights(gates * units, units),
            "out": weights(classes, units),
        }

    def dropped(x: Any, key: Any) -> Any:
        return x if p_drop == 0 else jnp.where(jax.random.uniform(key, x.shape) >= p_drop, x / (1 - p_drop), 0)

    def dense(layer: Any, x: Any) -> Any:
        return x @ layer["w"] + layer["b"]

    def mlp(params: Any, x: Any, key: Any) -> Any:
        keys = jax.random.split(key, 2)
        x = dense(params["l0"], x)
        if name == "module":
            x = (x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)
            x = x * params["norm"]["g"] + params["norm"]["b"]
        x = dropped(jax.nn.relu(x), keys[0])
        return dense(params["l2"], dropped(jax.nn.relu(dense(params["l1"], x)), keys[1]))

    def cell(params: Any, carry: Any, summed: Any) -> Any:
        h, c = carry
        if name == "gru":
            r_h, z_h, n_h = jnp.split(h @ params["hh"]["w"] + params["hh"]["b"], 3, -1)
            r_x, z_x, n_x = jnp.split(summed, 3, -1)
            r, z = jax.nn.sigmoid(r_x + r_h), jax.nn.sigmoid(z_x + z_h)
            h = (1 - z) * jnp.tanh(n_x + r * n_h) + z * h
        elif name == "lstm":
            i, f, g, o = jnp.split(summed + h @ params["hh"]["w"], 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
        else:
            h = jnp.tanh(summed + h @ params["hh"]["w"])
        return (h, c), h

    def rnn(params: Any, x: Any, key: Any) -> Any:
        x = jnp.swapaxes(x, 0, 1)  # time first
        summed = params["ih"]["w"][x] + params["ih"]["b"] if workload.vocabulary else dense(params["ih"], x)
        start = jnp.zeros((b, units))
        _, states = jax.lax.scan(lambda carry, s: cell(params, carry, s), (start, start), summed)
        return dense(params["out"], dropped(states if workload.every_step else states[-1], key))

    def loss(params: Any, x: Any, y: Any, key: Any) -> Any:
        logits = jax.nn.log_softmax((mlp if hidden is not None else rnn)(params, x, key))
        return -jnp.take_along_axis(logits, y[..., None], -1).mean()

    adam = type(workload.optimizer).__name__ == "Adam"

    def member(params: Any, state: Any, x: Any, y: Any, key: Any, lr: Any) -> Any:
        grads = jax.grad(loss)(params, x, y, key)
        norm = jnp.sqrt(sum((g**2).sum() for g in jax.tree.leaves(grads)))
        grads = jax.tree.map(lambda g: g * jnp.minimum(1.0, 1.0 / (norm + 1e-6)), grads)
        if not adam:
            return jax.tree.map(lambda p, g: p - lr * g, params, grads), state
        t, m, v = state
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        c1, c2 = 1 - 0.9**t, 1 - 0.999**t
        new = jax.tree.map(lambda p, m, v: p - lr * (m / c1) / (jnp.sqrt(v / c2) + 1e-8), params, m, v)
        return new, (t, m, v)

    shape = (width, b, *workload.shape)
    if workload.vocabulary:
        x = jnp.asarray(rng.integers(0, workload.vocabulary, shape))
    else:
        x = jnp.asarray(rng.standard_normal(shape), jnp.float32)
    y_shape = (width, b, workload.shape[0]) if workload.every_step else (width, b)
    y = rng.integers(0, classes, y_shape)
    y = jnp.asarray(np.swapaxes(y, 1, 2) if workload.every_step else y)
    lr = jnp.linspace(1e-4, 1e-3, width)

    @jax.jit
    def several(params: Any, state: Any, key: Any) -> Any:
        def one(carry: Any, key: Any) -> Any:
            params, state = carry
            return jax.vmap(member)(params, state, x, y, jax.random.split(key, width), lr), None

        return jax.lax.scan(one, (params, state), jax.random.split(key, STEPS))[0]

    zeros = jax.tree.map(jnp.zeros_like, params)
    held = [params, (jnp.zeros(width), zeros, zeros) if adam else jnp.zeros(width), jax.random.PRNGKey(0)]

    def steps() -> None:
        held[2], key = jax.random.split(held[2])
        held[0], held[1] = jax.block_until_ready(several(held[0], held[1], key))

    return steps


def peer(pipe: Connection, name: str, width: int) -> None:
    """A process that runs JAX's steps when asked to, and says how many seconds they took."""
    steps = jax_steps(name, width)
    while pipe.recv():
        start = time.perf_counter()
        steps()
        pipe.send(time.perf_counter() - start)


def row(name: str) -> tuple[str, float]:
    """A line of the table and the ratio to JAX."""
    context, pipes = multiprocessing.get_context("spawn"), {}
    for w in WIDTHS:
        pipes[w], theirs = context.Pipe()
        context.Process(target=peer, args=(theirs, name, w), daemon=True).start()

    def turn(width: int) -> float:
        pipes[width].send(True)
        return float(pipes[width].recv()) / STEPS / width

    found, ms = measure(name, None, CPU, {str(w): partial(turn, w) for w in WIDTHS})
    for pipe in pipes.values():
        pipe.send(False)
    best = min(WIDTHS, key=lambda w: ms[str(w)])
    ratio = ms[str(best)] / found.population_ms
    plain = min(found.plain_ms, found.per_core_ms)
    return (
        f"| {name} | {plain:.3g} | {ms[str(best)]:.3g} ({best} wide) | {found.population_ms:.3g} | {ratio:.1f} × |",
        ratio,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS))
    print("| workload | better plain way | JAX | ours | ratio to JAX |\n|---|--:|--:|--:|--:|")
    ratios = []
    for name in parser.parse_args().workloads:
        line, ratio = row(name)
        ratios.append(ratio)
        print(line, flush=True)
    print(f"\nGeometric mean: {statistics.geometric_mean(ratios):.1f} ×")


if __name__ == "__main__":
    main()
