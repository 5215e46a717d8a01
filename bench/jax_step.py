"""The study's network in JAX, timed: what XLA makes of it when another program writes the graph.

Takes the arguments of torch_step.py and prints the same JSON object. Plain JAX: no library of layers or optimisers.
"""
import argparse
import functools
import hashlib
import json
import math
import os
import platform
import statistics
import sys
import time

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import jax.numpy as jnp
from jax import lax

CONV = [(64, 5, 0, 0.25), (128, 3, 3, 0.25), (256, 3, 0, 0.25), (512, 3, 3, 0.25)]  # filters, kernel, pool, dropout
DENSE = [(512, 0.5), (256, 0.5), (2, None)]  # units, dropout; the last are the logits
MOMENTUM, EPSILON = 0.99, 1e-3


def initial(key, scale):
    """Weights, and running means and variances, layer by layer."""
    weights, averages, channels, edge = [], [], 1, 50
    for filters, kernel, pool, _ in CONV:
        out = max(1, int(filters * scale))
        key, k = jax.random.split(key)
        limit = (6 / ((channels + out) * kernel**3)) ** 0.5
        weights.append({"w": jax.random.uniform(k, (kernel, kernel, kernel, channels, out), jnp.float32, -limit, limit),
                        "b": jnp.zeros(out), "scale": jnp.ones(out), "offset": jnp.zeros(out)})
        averages.append((jnp.zeros(out), jnp.ones(out)))
        channels, edge = out, (edge - kernel + 1) // (pool or 1)
    width = channels * edge**3
    for units, drop in DENSE:
        out = units if drop is None else max(1, int(units * scale))
        key, k = jax.random.split(key)
        limit = (6 / (width + out)) ** 0.5
        weights.append({"w": jax.random.uniform(k, (width, out), jnp.float32, -limit, limit),
                        "b": jnp.zeros(out), "scale": jnp.ones(out), "offset": jnp.zeros(out)})
        averages.append((jnp.zeros(out), jnp.ones(out)))
        width = out
    return weights, averages


def network(weights, averages, x, key, *, layout, dtype, training):
    """Logits [n, 2] in float32 and the new averages."""
    axis = 1 if layout == "ncdhw" else 4
    spatial = ("NCDHW", "DHWIO", "NCDHW") if axis == 1 else ("NDHWC", "DHWIO", "NDHWC")
    new = []

    def drop(x, rate, key):
        if not training or not rate:
            return x
        return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0).astype(x.dtype)

    def normalise(y, layer, average, axis):
        shape = [1] * y.ndim
        shape[axis] = -1
        y32 = y.astype(jnp.float32) + layer["b"].reshape(shape)
        if training:
            others = [i for i in range(y.ndim) if i != axis]
            mean, variance = y32.mean(others), y32.var(others)
            new.append((MOMENTUM * average[0] + (1 - MOMENTUM) * mean, MOMENTUM * average[1] + (1 - MOMENTUM) * variance))
        else:
            mean, variance = average
        z = (y32 - mean.reshape(shape)) * (layer["scale"] * lax.rsqrt(variance + EPSILON)).reshape(shape) + layer["offset"].reshape(shape)
        return z.astype(dtype)

    keys = jax.random.split(key, len(weights))
    x = x.astype(dtype)
    for i, (_, kernel, pool, rate) in enumerate(CONV):
        x = lax.conv_general_dilated(x, weights[i]["w"].astype(dtype), (1, 1, 1), "VALID", dimension_numbers=spatial)
        x = jax.nn.leaky_relu(normalise(x, weights[i], averages[i], axis), 0.1)
        if pool:
            window = (1, 1, pool, pool, pool) if axis == 1 else (1, pool, pool, pool, 1)
            x = lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")
        x = drop(x, rate, keys[i])
    x = x.reshape(x.shape[0], -1)
    for i, (_, rate) in enumerate(DENSE, len(CONV)):
        x = normalise(x @ weights[i]["w"].astype(dtype), weights[i], averages[i], 1)
        if rate is not None:
            x = drop(jax.nn.leaky_relu(x, 0.1), rate, keys[i])
    return x.astype(jnp.float32), new


def peak_mib():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return None


def number(value):
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None


def timed(run, steps):
    seconds = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds[0], seconds[1:]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--steps", type=int, default=3)
    p.add_argument("--threads", type=int, default=0, help="no effect: XLA takes the processors the process may use")
    p.add_argument("--scale", type=float, default=1.0)
    p.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    p.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    p.add_argument("--layout", default="ncdhw", choices=["ncdhw", "ndhwc"])
    p.add_argument("--tf32", action="store_true")
    p.add_argument("--deterministic", action="store_true")
    a = p.parse_args()

    if a.deterministic:
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_gpu_deterministic_ops=true"
    jax.config.update("jax_platforms", a.device)
    jax.config.update("jax_default_matmul_precision", "default" if a.tf32 or a.precision == "bfloat16" else "highest")
    device = jax.devices()[0]
    dtype = jnp.bfloat16 if a.precision == "bfloat16" else jnp.float32
    apply = functools.partial(network, layout=a.layout, dtype=dtype)

    def loss_of(weights, averages, x, y, key):
        logits, new = apply(weights, averages, x, key, training=True)
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean(), new

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2, 3))
    def train_step(weights, averages, first, second, count, x, y, key):
        key, k = jax.random.split(key)
        (loss, averages), g = jax.value_and_grad(loss_of, has_aux=True)(weights, averages, x, y, k)
        count = count + 1
        first = jax.tree.map(lambda m, d: 0.9 * m + 0.1 * d, first, g)
        second = jax.tree.map(lambda v, d: 0.999 * v + 0.001 * d * d, second, g)
        rate = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), weights, first, second)
        return weights, averages, first, second, count, loss, key

    @jax.jit
    def scores(weights, averages, x):
        return jax.nn.softmax(apply(weights, averages, x, jax.random.key(0), training=False)[0])

    key, data = jax.random.split(jax.random.key(1))
    weights, averages = initial(key, a.scale)
    zeros = lambda: jax.tree.map(jnp.zeros_like, weights)
    state = [weights, averages, zeros(), zeros(), jnp.zeros((), jnp.float32), None, key]
    shape = (a.batch, 1, 50, 50, 50) if a.layout == "ncdhw" else (a.batch, 50, 50, 50, 1)
    cubes = jax.device_get(jax.random.uniform(data, shape))
    labels = jax.device_get(jnp.arange(a.batch) % 2)
    losses = []

    def train():
        w, v, m, s, n, _, k = state
        state[:] = train_step(w, v, m, s, n, jax.device_put(cubes, device), jax.device_put(labels, device), k)
        losses.append(float(state[5]))

    first_step, steps = timed(train, a.steps)
    first_forward, forwards = timed(lambda: jax.device_get(scores(state[0], state[1], jax.device_put(cubes, device))), a.steps)

    digest = hashlib.sha256()
    for leaf in jax.tree.leaves((state[0], state[1])):
        digest.update(jax.device_get(leaf).tobytes())
    memory = device.memory_stats() if a.device == "cuda" else None
    json.dump({
        "name": "jax", "version": jax.__version__, "python": platform.python_version(),
        "device": device.device_kind, "threads": len(os.sched_getaffinity(0)),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(state[0])),
        "first_step_seconds": first_step, "step_seconds": statistics.median(steps),
        "first_forward_seconds": first_forward, "forward_seconds": statistics.median(forwards),
        "peak_mib": peak_mib(), "device_peak_mib": memory["peak_bytes_in_use"] / 2**20 if memory else None,
        "finite": all(map(math.isfinite, losses)), "first_loss": number(losses[0]), "last_loss": number(losses[-1]), "sum": digest.hexdigest(),
    }, sys.stdout)
    print()


if __name__ == "__main__":
    main()
