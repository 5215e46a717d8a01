"""Golden values for AUC and Median from a second tool. Run here: /usr/bin/python3 scipy_auc.py"""
import hashlib
import json
import platform

import numpy
import scipy
import scipy.stats

cases = []
for seed, n, digits in [(1, 30, 0), (2, 75, 1), (3, 200, 8)]:
    draw = numpy.random.default_rng(seed)
    positive = draw.random(n) < 0.35
    scores = numpy.round(draw.normal(size=n) + 0.8 * positive, digits)
    u = scipy.stats.mannwhitneyu(scores[positive], scores[~positive]).statistic
    cases.append({
        "name": f"{n} patients, {digits} digits",
        "scores": scores.tolist(),
        "positive": positive.tolist(),
        "auc": u / (positive.sum() * (~positive).sum()),
        "median": float(numpy.median(scores)),
        "p": [0.025, 0.31, 0.975],
        "quantile": numpy.quantile(scores, [0.025, 0.31, 0.975]).tolist(),
    })
program = "scipy_auc.py"
source = {
    "tool": "scipy.stats.mannwhitneyu, numpy.median, numpy.quantile",
    "version": f"Python {platform.python_version()}, scipy {scipy.__version__}, numpy {numpy.__version__}",
    "command": "/usr/bin/python3 " + program,
    "program": program,
    "program_md5": hashlib.md5(open(program, "rb").read()).hexdigest(),
    "data": "drawn by numpy.random.default_rng(seed) in the program; rounding makes the ties",
}
with open("scipy_auc.json", "w") as out:
    json.dump({"source": source, "cases": cases}, out, indent=1)
    out.write("\n")
