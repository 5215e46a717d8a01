"""Golden values for StandardisedMean and StandardisedCategories from a second tool, the
Python package tableone (pip install tableone==0.9.6). Run here: python3 standardised_tableone.py"""
import hashlib
import json
import platform

import numpy
import tableone
from tableone.statistics import Statistics

tool = Statistics()
cases = []
for seed, n, m, levels in [(1, 40, 25, 3), (2, 211, 104, 6), (3, 900, 300, 2)]:
    draw = numpy.random.default_rng(seed)
    shares = draw.dirichlet(numpy.ones(levels), size=2)
    counts = [draw.multinomial(k, 0.8 * p + 0.2 / levels) for k, p in zip((n, m), shares)]
    a, b = numpy.round(draw.normal(65, 10, n), 1), numpy.round(draw.normal(68, 7, m), 1)
    # The tool subtracts its first group from its second, and leaves out the first level.
    smd, _ = tool._cat_smd(counts[1] / m, counts[0] / n, m, n)
    cases.append({"name": f"{levels} levels", "kind": "categories", "a": counts[0].tolist(), "b": counts[1].tolist(), "smd": float(smd)})
    smd, _ = tool._cont_smd(mean1=b.mean(), mean2=a.mean(), sd1=b.std(ddof=1), sd2=a.std(ddof=1), n1=m, n2=n)
    cases.append({"name": f"{n} and {m} numbers", "kind": "mean", "a": a.tolist(), "b": b.tolist(), "smd": float(smd)})
program = "standardised_tableone.py"
source = {
    "tool": "tableone.statistics.Statistics (Python)",
    "version": f"Python {platform.python_version()}, tableone {tableone.__version__}, numpy {numpy.__version__}",
    "command": "python3 " + program,
    "program": program,
    "program_md5": hashlib.md5(open(program, "rb").read()).hexdigest(),
    "data": "drawn by numpy.random.default_rng(seed) in the program",
}
with open("standardised_tableone.json", "w") as out:
    json.dump({"source": source, "cases": cases}, out, indent=1)
    out.write("\n")
