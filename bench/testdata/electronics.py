"""Writes the made-up sets of this folder: twenty users of thirty items in the layout of
DIN's dataset.pkl, and the same as the benchmark's CSV.

    python bench/testdata/electronics.py
"""
import csv
import os
import pickle
import random

import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
draw = random.Random(1234)
ITEMS, CATEGORIES = 30, 4
category = np.array([draw.randrange(CATEGORIES) for _ in range(ITEMS)], dtype=np.int32)
rows, tests = [], []
for user in range(20):
    own = [2 * i + user % 2 for i in draw.sample(range(ITEMS // 2), 8)]
    others = [i for i in range(ITEMS) if i not in own]
    for n in range(1, len(own)):
        past, other = own[:n], draw.choice(others)
        if n < len(own) - 1:
            rows += [(np.int64(user), past, own[n], 1), (np.int64(user), past, other, 0)]
        else:
            tests.append((np.int64(user), past, (own[n], other)))
draw.shuffle(rows)
draw.shuffle(tests)


def folder(name):
    path = os.path.join(here, name)
    os.makedirs(path, exist_ok=True)
    return path


with open(os.path.join(folder("amazon-electronics"), "dataset.pkl"), "wb") as f:
    for part in (rows, tests, category, (20, ITEMS, CATEGORIES)):
        pickle.dump(part, f, 4)

COLUMNS = ["label", "user_id", "item_id", "cate_id", "item_history", "cate_history"]
test_rows = [(u, past, pair[k], 1 - k) for u, past, pair in tests for k in range(2)]
for name, part in (("train.csv", rows), ("test.csv", test_rows)):
    with open(os.path.join(folder("amazon-electronics-bars"), name), "w", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(COLUMNS)
        for u, past, item, label in part:
            out.writerow([label, u, item, category[item], "^".join(map(str, past)), "^".join(str(category[i]) for i in past)])
