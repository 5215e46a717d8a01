#!/usr/bin/env python3
"""Preranked gene-set enrichment in plain numpy, the peer of BenchmarkBesideNumpy.

Usage: peer.py FILE. FILE holds the scores in falling order (one line), then one line
of 0-based positions for each set. 1,000 permutations, weight 1: in each the positions
of the largest set are drawn and every smaller set takes the first of them, so all
sets share a draw. Prints the seconds of the fastest of three runs, reading left out.
"""
import sys
import time

import numpy as np


def scores_of(positions, weights, n):
    """Enrichment scores of sets (rows: sorted positions of one size)."""
    k = positions.shape[1]
    w = weights[positions]
    hit = np.cumsum(w, axis=1)
    hit /= hit[:, -1:]
    miss = (positions - np.arange(k)) / (n - k)
    top = hit - miss
    bottom = np.concatenate([np.zeros((len(positions), 1)), hit[:, :-1]], axis=1) - miss
    high, low = top.max(axis=1), bottom.min(axis=1)
    return np.where(high >= -low, high, low)


def analyse(weights, sets, permutations, seed):
    n = len(weights)
    rng = np.random.default_rng(seed)
    largest = max(len(s) for s in sets)
    draws = np.argsort(rng.random((permutations, n)), axis=1)[:, :largest] if n * permutations < 1e6 else \
        np.stack([rng.choice(n, largest, replace=False, shuffle=True) for _ in range(permutations)])
    null = {k: scores_of(np.sort(draws[:, :k], axis=1), weights, n) for k in sorted({len(s) for s in sets})}
    out = []
    for s in sets:
        es = scores_of(np.sort(s)[None, :], weights, n)[0]
        side = null[len(s)][np.sign(null[len(s)]) == np.sign(es)]
        out.append((es, es / np.abs(side).mean(), (np.sum(np.abs(side) >= abs(es)) + 1) / (len(side) + 1)))
    return out


def main():
    with open(sys.argv[1]) as f:
        weights = np.abs(np.array(f.readline().split(), dtype=float))
        sets = [np.array(line.split(), dtype=int) for line in f]
    best = float("inf")
    for seed in range(3):
        start = time.perf_counter()
        result = analyse(weights, sets, 1000, seed)
        best = min(best, time.perf_counter() - start)
    assert len(result) == len(sets)
    print(best)


main()
