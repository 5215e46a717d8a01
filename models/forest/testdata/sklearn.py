"""Golden values for Fit: missing values and class weights, which ranger 0.14 lacks or
defines otherwise. Trees see all patients, so only the features drawn differ between
trees; what is compared is the mean over very many. Run in this folder: python3 sklearn.py
"""
import hashlib, json, sys
sys.path.pop(0)  # this file is called sklearn too
import numpy as np, sklearn
from sklearn.ensemble import RandomForestClassifier

TREES = 20000


def column(values):
    return [None if np.isnan(v) else round(float(v), 2) for v in values]


def case(name, seed, n, p, missing, weights, split, leaf):
    rng = np.random.default_rng(seed)
    def draw(m):
        x = np.round(rng.normal(size=(m, p)), 2)
        effect = x[:, 0] - 0.7 * x[:, 1]
        for j in range(p):
            if j in missing:  # patients with a high value are missing more often
                x[rng.random(m) < 0.1 + 0.3 * (x[:, j] > 0.5), j] = np.nan
        return x, effect
    x, effect = draw(n)
    y = effect + rng.normal(size=n) > 0
    new, _ = draw(60)
    new[:10, p - 1] = np.nan  # missing in no training patient
    f = RandomForestClassifier(n_estimators=TREES, bootstrap=False, max_features=2, min_samples_split=split, min_samples_leaf=leaf,
                               class_weight={False: weights[0], True: weights[1]}, random_state=seed, n_jobs=2)
    f.fit(x, y)
    return {"name": name, "x": [column(x[:, j]) for j in range(p)], "y": [bool(v) for v in y], "new": [column(new[:, j]) for j in range(p)],
            "weights": weights, "min_node": split - 1, "min_leaf": leaf, "predicted": [float(v) for v in f.predict_proba(new)[:, 1]]}


cases = [
    case("missing values", 1, 150, 6, (0, 2, 3), [1, 1], 11, 1),
    case("class weights", 2, 120, 5, (), [1, 2.5], 11, 1),
    case("both, leaves of five", 3, 150, 5, (1, 2), [2, 1], 6, 5),
]
program = "sklearn.py"
json.dump({"source": {"tool": "scikit-learn RandomForestClassifier", "version": f"scikit-learn {sklearn.__version__}, numpy {np.__version__}, Python {sys.version.split()[0]}",
                      "command": f"python3 {program}", "program": program, "program_md5": hashlib.md5(open(program, "rb").read()).hexdigest(),
                      "data": "drawn by case(...) in the program; the same data lie in each case, null = missing"}, "cases": cases},
          open("sklearn.json", "w"), indent=None, separators=(",", ":"))
