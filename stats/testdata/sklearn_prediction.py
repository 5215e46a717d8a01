"""Golden values for PrecisionRecall, AveragePrecision, Brier, CalibrationCurve, ProportionCI and
DecisionCurve. Run here, with the versions of the file's source installed: python3 sklearn_prediction.py"""
import hashlib
import json
import math
import platform

import dcurves
import numpy
import pandas
import scipy
import sklearn
import sklearn.calibration
import sklearn.metrics
import statsmodels
from importlib.metadata import version
from statsmodels.stats.proportion import proportion_confint

cases = []
for seed, n, digits, groups, level in [(1, 40, 1, 4, 0.95), (2, 206, 2, 10, 0.95), (3, 151, 12, 7, 0.9)]:
    draw = numpy.random.default_rng(seed)
    truth = draw.normal(-0.5, 1, n)
    positive = draw.random(n) < 1 / (1 + numpy.exp(-truth))
    risk = numpy.round(1 / (1 + numpy.exp(-1.5 * truth - 0.6 * draw.normal(size=n))), digits)
    precision, recall, threshold = sklearn.metrics.precision_recall_curve(positive, risk)
    ap = sklearn.metrics.average_precision_score(positive, risk)
    half = scipy.stats.norm.ppf(0.5 + level / 2) / math.sqrt(positive.sum() * ap * (1 - ap))
    logit = math.log(ap / (1 - ap))
    resamples = []
    for _ in range(4000):
        at = numpy.concatenate([draw.choice(numpy.flatnonzero(positive), positive.sum()), draw.choice(numpy.flatnonzero(~positive), (~positive).sum())])
        # Average precision by numpy, checked against scikit-learn on the data themselves.
        def fast(s, y):
            order = numpy.argsort(-s, kind="stable")
            s, y = s[order], y[order]
            last = numpy.append(s[1:] != s[:-1], True)
            tp = numpy.cumsum(y)[last]
            return float(numpy.sum(numpy.diff(numpy.append(0, tp)) * tp / (numpy.flatnonzero(last) + 1)) / tp[-1])
        resamples.append(fast(risk[at], positive[at]))
    assert abs(fast(risk, positive) - ap) < 1e-12
    observed, predicted = sklearn.calibration.calibration_curve(positive, risk, n_bins=groups, strategy="quantile")
    grid = [0.0, 0.05, 0.1, 0.25, 0.333, 0.5, 0.62, 0.9]
    table = dcurves.dca(pandas.DataFrame({"dead": positive.astype(int), "risk": risk}), outcome="dead", modelnames=["risk"], thresholds=grid)
    column = lambda name: table[table.model == name].sort_values("threshold").net_benefit.tolist()
    cases.append({
        "name": f"{n} patients, {digits} digits", "risk": risk.tolist(), "positive": positive.tolist(), "level": level,
        "precision": precision[::-1][1:].tolist(), "recall": recall[::-1][1:].tolist(), "threshold": threshold[::-1].tolist(),
        "ap": ap, "ap_low": 1 / (1 + math.exp(half - logit)), "ap_high": 1 / (1 + math.exp(-half - logit)),
        "boot_low": float(numpy.quantile(resamples, (1 - level) / 2)), "boot_high": float(numpy.quantile(resamples, (1 + level) / 2)),
        "brier": sklearn.metrics.brier_score_loss(positive, risk), "groups": groups,
        "observed": observed.tolist(), "predicted": predicted.tolist(),
        "grid": grid, "net_benefit": column("risk"), "treat_all": column("all"),
    })
shares = []
for k, n in [(0, 1), (1, 1), (0, 20), (20, 20), (3, 10), (61, 145), (144, 145), (5000, 12345)]:
    for level in [0.9, 0.95, 0.999]:
        wilson, exact = (proportion_confint(k, n, alpha=1 - level, method=m) for m in ["wilson", "beta"])
        shares.append({"k": k, "n": n, "level": level, "wilson": list(map(float, wilson)), "exact": list(map(float, exact))})
cases.append({"name": "proportions", "shares": shares})
program = "sklearn_prediction.py"
source = {
    "tool": "scikit-learn, statsmodels proportion_confint, dcurves, numpy",
    "version": f"Python {platform.python_version()}, scikit-learn {sklearn.__version__}, statsmodels {statsmodels.__version__}, "
               f"dcurves {version('dcurves')}, numpy {numpy.__version__}, scipy {scipy.__version__}, pandas {pandas.__version__}",
    "command": "python3 " + program,
    "program": program,
    "program_md5": hashlib.md5(open(program, "rb").read()).hexdigest(),
    "data": "drawn by numpy.random.default_rng(seed) in the program; rounding makes the ties",
}
with open("sklearn_prediction.json", "w") as out:
    json.dump({"source": source, "cases": cases}, out, indent=1)
    out.write("\n")
