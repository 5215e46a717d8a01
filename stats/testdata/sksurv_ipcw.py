"""Golden values for TimeAUC and SurvivalBrier from a second tool.

Run here, in an environment with scikit-survival: python3 sksurv_ipcw.py
Deaths fall on whole days and censorings on halves: for ties of the two the tool takes
another G, see the Go documentation.
"""
import hashlib
import json
import platform

import numpy
import sksurv
from sksurv.metrics import brier_score, cumulative_dynamic_auc, integrated_brier_score

cases = []
for seed, n, step, digits in [(1, 40, 60, 0), (2, 120, 20, 1), (3, 250, 1, 6)]:
    draw = numpy.random.default_rng(seed)
    score = numpy.round(draw.normal(size=n), digits) + 0.0
    death = numpy.ceil(draw.exponential(400 * numpy.exp(-0.7 * score)) / step) * step
    leave = numpy.ceil(draw.uniform(50, 1500, size=n) / step) * step + 0.5
    event = death < leave
    time = numpy.where(event, death, leave)
    times = numpy.array([150.0, 300.0, 480.25, 730.0])
    y = numpy.array(list(zip(event, time)), dtype=[("event", bool), ("time", float)])
    auc, mean = cumulative_dynamic_auc(y, y, score, times)
    survival = numpy.exp(-numpy.outer(numpy.exp(0.5 * score), times / 500))
    cases.append({
        "name": f"{n} patients, step {step}",
        "time": time.tolist(), "event": event.tolist(), "score": score.tolist(), "times": times.tolist(),
        "survival": survival.tolist(),
        "auc": auc.tolist(), "mean": float(mean), "one": float(cumulative_dynamic_auc(y, y, score, times[:1])[1]),
        "brier": brier_score(y, y, survival, times)[1].tolist(),
        "integrated": float(integrated_brier_score(y, y, survival, times)),
    })
program = "sksurv_ipcw.py"
source = {
    "tool": "sksurv.metrics.cumulative_dynamic_auc, brier_score, integrated_brier_score",
    "version": f"Python {platform.python_version()}, scikit-survival {sksurv.__version__}, numpy {numpy.__version__}",
    "command": "python3 " + program,
    "program": program,
    "program_md5": hashlib.md5(open(program, "rb").read()).hexdigest(),
    "data": "drawn by numpy.random.default_rng(seed) in the program; rounding makes the ties",
}
with open(program[:-2] + "json", "w") as out:
    json.dump({"source": source, "cases": cases}, out)
    out.write("\n")
