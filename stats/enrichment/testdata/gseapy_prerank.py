"""Golden values of preranked GSEA from another implementation. Run here, in an environment
that has gseapy: python gseapy_prerank.py"""
import hashlib
import json
import platform

import gseapy
import numpy
import pandas

PERMUTATIONS = 20000
cases = []
for seed, weight in [(1, 1.0), (2, 0.0)]:
    draw = numpy.random.default_rng(seed)
    genes = [f"G{i:04d}" for i in range(1200)]
    scores = numpy.sort(numpy.round(draw.normal(size=1200), 5))[::-1]
    assert len(set(scores)) > 1190
    # One copy of a score each: gseapy and we order ties differently.
    _, first = numpy.unique(scores, return_index=True)
    genes, scores = [genes[i] for i in sorted(first)], scores[sorted(first)]
    sets = {}
    for k, size in enumerate([5, 6, 8, 10, 12, 15, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 300]):
        odds = numpy.exp([0.5, 0.0, -0.5, 0.2][k % 4] * scores)
        sets[f"set{k:02d}"] = sorted(draw.choice(genes, size, replace=False, p=odds / odds.sum()).tolist())
    result = gseapy.prerank(
        rnk=pandas.DataFrame({"gene": genes, "score": scores}), gene_sets=sets, min_size=5, max_size=500,
        permutation_num=PERMUTATIONS, weight=weight, seed=7, threads=2, outdir=None, no_plot=True)
    table = result.res2d.set_index("Term").loc[list(sets)]
    cases.append({
        "weight": weight,
        "genes": genes,
        "scores": scores.tolist(),
        "sets": list(sets.values()),
        "es": [float(v) for v in table["ES"]],
        "nes": [float(v) for v in table["NES"]],
        "p": [float(v) for v in table["NOM p-val"]],
        "leading_edge": [v.split(";") for v in table["Lead_genes"]],
        "permutations": PERMUTATIONS,
    })
program = "gseapy_prerank.py"
source = {
    "tool": "gseapy.prerank",
    "version": f"Python {platform.python_version()}, gseapy {gseapy.__version__}, numpy {numpy.__version__}, pandas {pandas.__version__}",
    "command": "python " + program,
    "program": program,
    "program_md5": hashlib.md5(open(program, "rb").read()).hexdigest(),
    "data": "drawn by numpy.random.default_rng(seed) in the program",
}
with open("gseapy_prerank.json", "w") as out:
    json.dump({"source": source, "cases": cases}, out)
    out.write("\n")
