"""Golden values for kappas, ICC and rank correlations from second tools. Run here: python agreement.py
(needs numpy, scipy, statsmodels, pingouin, irrCAC)."""
import hashlib
import json
import platform
from importlib.metadata import version

import numpy
import pandas
import pingouin
import scipy.stats
from irrCAC.raw import CAC
from statsmodels.stats.inter_rater import aggregate_raters, cohens_kappa, fleiss_kappa, to_table

draw = numpy.random.default_rng(17)
cases = []
for name, n, categories, agree in [("90 subjects, 3 categories", 90, 3, 0.6), ("40 subjects, 5 categories", 40, 5, 0.2)]:
    a = draw.integers(0, categories, n)
    b = numpy.where(draw.random(n) < agree, a, draw.integers(0, categories, n))
    table = to_table(numpy.stack([a, b], 1), categories)[0]
    case = {"kind": "cohen", "name": name, "categories": categories, "a": a.tolist(), "b": b.tolist(), "kappa": [], "se": [], "low": [], "high": [], "z": [], "p": []}
    for wt in [None, "linear", "quadratic"]:
        r = cohens_kappa(table, wt=wt)
        for key, value in [("kappa", r.kappa), ("se", r.std_kappa), ("low", r.kappa_low), ("high", r.kappa_upp), ("z", r.z_value), ("p", r.pvalue_two_sided)]:
            case[key].append(float(value))
    cases.append(case)
for name, n, raters, categories, agree in [("60 subjects, 4 raters", 60, 4, 3, 0.7), ("25 subjects, 6 raters, little agreement", 25, 6, 4, 0.1)]:
    truth = draw.integers(0, categories, n)
    ratings = numpy.where(draw.random((n, raters)) < agree, truth[:, None], draw.integers(0, categories, (n, raters)))
    counts = aggregate_raters(ratings)[0]
    r = CAC(pandas.DataFrame(ratings), digits=17).fleiss()["est"]
    # Fleiss' test, from the formula of Fleiss, Nee and Landis 1979 by category.
    p = counts.sum(0) / counts.sum()
    q = 1 - p
    s = (p * q).sum()
    se0 = numpy.sqrt(2) / (s * numpy.sqrt(n * raters * (raters - 1))) * numpy.sqrt(s**2 - (p * q * (q - p)).sum())
    kappa = fleiss_kappa(counts)
    cases.append({"kind": "fleiss", "name": name, "counts": counts.tolist(), "kappa": kappa, "irrcac": float(r["coefficient_value"]), "se": float(r["se"]),
                  "low": float(r["confidence_interval"][0]), "high": float(r["confidence_interval"][1]), "z": kappa / se0,
                  "p": float(2 * scipy.stats.norm.sf(abs(kappa / se0)))})
for name, n, digits in [("50 patients, ties", 50, 0), ("80 patients, no ties", 80, 9)]:
    x = numpy.round(draw.normal(0, 3, n), digits)
    y = numpy.round(x + draw.normal(0, 3, n), digits)
    s, k = scipy.stats.spearmanr(x, y), scipy.stats.kendalltau(x, y, method="asymptotic")
    cases.append({"kind": "ranks", "name": name, "x": x.tolist(), "y": y.tolist(), "spearman": [s.statistic, s.pvalue], "kendall": [k.statistic, k.pvalue]})
for name, n, k in [("20 patients, 3 readers", 20, 3)]:
    x = draw.normal(0, 2, (n, 1)) + draw.normal(0, 1, (1, k)) + draw.normal(0, 1, (n, k))
    long = pandas.DataFrame({"s": numpy.repeat(numpy.arange(n), k), "r": numpy.tile(numpy.arange(k), n), "y": x.ravel()})
    r = pingouin.intraclass_corr(long, "s", "r", "y")
    cases.append({"kind": "icc", "name": name, "ratings": x.tolist(), "types": r.iloc[:, 0].tolist(), "icc": r["ICC"].tolist(), "f": r["F"].tolist(), "p": r.filter(regex="^p").iloc[:, 0].tolist()})
program = "agreement.py"
source = {
    "tool": "statsmodels cohens_kappa, fleiss_kappa; irrCAC fleiss; scipy.stats spearmanr, kendalltau; pingouin intraclass_corr",
    "version": f"Python {platform.python_version()}, " + ", ".join(f"{p} {version(p)}" for p in ["numpy", "scipy", "statsmodels", "irrCAC", "pingouin"]),
    "command": "python " + program,
    "program": program,
    "program_md5": hashlib.md5(open(program, "rb").read()).hexdigest(),
    "data": "drawn by numpy.random.default_rng(17) in the program",
}
with open("agreement_py.json", "w") as out:
    json.dump({"source": source, "cases": cases}, out, indent=1)
    out.write("\n")
