"""Writes quantile.json: what scikit-learn's QuantileTransformer makes of columns.

    python quantile.py OUT
"""
import json
import sys

import numpy as np
import sklearn
from sklearn.preprocessing import QuantileTransformer

rng = np.random.default_rng(3)
columns = {
    "smooth": rng.normal(size=400),
    "ties": np.round(rng.gamma(1.5, 2.0, size=600)),
    "mostly zero": np.where(rng.random(500) < 0.8, 0.0, rng.exponential(size=500)),
    "few rows": rng.normal(size=7),
    "large": 1e6 * rng.random(900),
}
cases = []
for name, x in columns.items():
    n = max(min(len(x) // 30, 1000), 10)
    t = QuantileTransformer(n_quantiles=n, output_distribution="normal", subsample=10**9).fit(x[:, None])
    at = np.concatenate([x[:40], x[:5] + 1e-8, [x.min() - 1, x.max() + 1, x.min(), x.max(), np.median(x), x.mean(), 0.5]])
    cases.append({"name": name, "fit": x.tolist(), "quantiles": t.quantiles_[:, 0].tolist(), "at": at.tolist(),
                  "normal": t.transform(at[:, None])[:, 0].tolist()})
with open(sys.argv[1], "w") as f:
    json.dump({"sklearn": sklearn.__version__, "cases": cases}, f, separators=(",", ":"))
    f.write("\n")
