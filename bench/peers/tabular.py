"""Gradient-boosted trees as peers of `eider bench tabular`.

    python tabular.py xgboost|lightgbm|histgradientboosting

Lines in, lines out, fields separated by tabs, as README.md says:

    load ABOUT ROWS              a table and its three parts
    fit SEED SECONDS THREADS OUT    wall, trials, valid, predict

fit tries settings until SECONDS are over, the library's own defaults first and then
draws of SEED, each with early stopping by the validation rows, and keeps the one that
is best on them. It writes what that one predicts of the test rows to OUT as float32:
values, probabilities of class 1, or of each class.
"""
import json
import sys
import time
from importlib.metadata import version

import numpy as np

ROUNDS, PATIENCE = 4000, 100


def draw(rng, kind):
    """Settings in the neighbourhood that published searches use."""
    uniform, log = rng.uniform, lambda lo, hi: float(np.exp(rng.uniform(np.log(lo), np.log(hi))))
    if kind == "xgboost":
        return {"learning_rate": log(0.01, 0.2), "max_depth": int(rng.integers(3, 11)), "min_child_weight": log(1, 100),
                "subsample": uniform(0.5, 1), "colsample_bytree": uniform(0.5, 1), "reg_lambda": log(0.1, 10), "gamma": log(1e-3, 1)}
    if kind == "lightgbm":
        return {"learning_rate": log(0.01, 0.2), "num_leaves": int(log(8, 256)), "min_child_samples": int(log(5, 100)),
                "subsample": uniform(0.5, 1), "subsample_freq": 1, "colsample_bytree": uniform(0.5, 1), "reg_lambda": log(0.1, 10)}
    return {"learning_rate": log(0.02, 0.3), "max_leaf_nodes": int(log(8, 256)), "min_samples_leaf": int(log(5, 100)),
            "l2_regularization": log(1e-3, 10), "max_features": uniform(0.5, 1)}


class Trees:
    def __init__(self, kind):
        self.kind = kind

    def load(self, about, rows):
        with open(about) as f:
            a = json.load(f)
        wide = a["numbers"] + a["flags"] + len(a["categories"] or [])
        x = np.fromfile(rows, dtype="<f4").reshape(-1, wide + 1)
        at = np.cumsum(a["rows"])[:-1]
        self.x, self.y = np.split(x[:, :-1], at), np.split(x[:, -1], at)
        self.classes = 0 if a["kind"] == "regression" else a["classes"]
        self.sizes = a["categories"] or []
        self.categories = list(range(a["numbers"] + a["flags"], wide))

    def fit(self, seed, seconds, threads, out):
        rng, began = np.random.default_rng(int(seed)), time.perf_counter()
        best, trials = None, 0
        while best is None or time.perf_counter() - began < float(seconds):
            settings = draw(rng, self.kind) if trials else {}
            predict = getattr(self, self.kind)(settings, int(seed), int(threads))
            score = self.score(predict(self.x[1]))
            trials += 1
            if best is None or score < best[0]:
                best = score, predict
        wall = time.perf_counter() - began
        began = time.perf_counter()
        answer = best[1](self.x[2])
        spent = time.perf_counter() - began
        answer.astype("<f4").tofile(out)
        return {"wall": wall, "trials": trials, "valid": f"{abs(best[0]):.5f}", "predict": spent}

    def score(self, p):
        """RMSE, or the accuracy with a minus."""
        y = self.y[1]
        if not self.classes:
            return float(np.sqrt(np.mean((p - y) ** 2)))
        return -float(np.mean((p > 0.5 if self.classes == 2 else p.argmax(1)) == y))

    def shaped(self, model):
        """How the model predicts: values, or probabilities as Eider has them."""
        def predict(x):
            if not self.classes:
                return model.predict(x)
            p = model.predict_proba(x)
            return p[:, 1] if self.classes == 2 else p
        return predict

    def xgboost(self, settings, seed, threads):
        import xgboost

        kind = xgboost.XGBClassifier if self.classes else xgboost.XGBRegressor
        types = ["c" if i in self.categories else "q" for i in range(self.x[0].shape[1])]
        model = kind(n_estimators=ROUNDS, early_stopping_rounds=PATIENCE, random_state=seed, n_jobs=threads, tree_method="hist",
                     enable_categorical=bool(self.categories), feature_types=types, **settings)
        model.fit(self.x[0], self.y[0], eval_set=[(self.x[1], self.y[1])], verbose=False)
        return self.shaped(model)

    def lightgbm(self, settings, seed, threads):
        import lightgbm

        kind = lightgbm.LGBMClassifier if self.classes else lightgbm.LGBMRegressor
        model = kind(n_estimators=ROUNDS, random_state=seed, n_jobs=threads, verbosity=-1, **settings)
        model.fit(self.x[0], self.y[0], eval_set=[(self.x[1], self.y[1])], categorical_feature=self.categories,
                  callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)])
        return self.shaped(model)

    def histgradientboosting(self, settings, seed, threads):
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
        from threadpoolctl import threadpool_limits

        kind = HistGradientBoostingClassifier if self.classes else HistGradientBoostingRegressor
        categories = [i for i, n in zip(self.categories, self.sizes) if n < 255] or None
        model = kind(max_iter=ROUNDS, early_stopping=True, n_iter_no_change=PATIENCE // 2, categorical_features=categories, random_state=seed, **settings)
        with threadpool_limits(threads):
            model.fit(self.x[0], self.y[0], X_val=self.x[1], y_val=self.y[1])
        return self.shaped(model)


def main(kind):
    package = {"histgradientboosting": ["scikit-learn"], "xgboost": ["xgboost-cpu", "xgboost"], "lightgbm": ["lightgbm"]}[kind]
    try:
        __import__({"histgradientboosting": "sklearn"}.get(kind, kind))
        found = next(f"{p} {v}" for p in package for v in [installed(p)] if v)
        print("ok\tversion=" + found, flush=True)
    except (ImportError, StopIteration) as e:
        print("error\t" + (str(e) or "no " + package[0]), flush=True)
        return
    trees = Trees(kind)
    for line in sys.stdin:
        word, *args = line.rstrip("\n").split("\t")
        try:
            if word == "quit":
                return
            out = {"load": trees.load, "fit": trees.fit}[word](*args) or {}
            print("\t".join(["ok"] + [f"{k}={v}" for k, v in out.items()]), flush=True)
        except Exception as e:  # the other side tells
            print("error\t" + str(e).replace("\n", " ").replace("\t", " "), flush=True)


def installed(package):
    try:
        return version(package)
    except ImportError:
        return None


if __name__ == "__main__":
    main(sys.argv[1])
