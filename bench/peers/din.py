"""The Deep Interest Network in PyTorch, with FuxiCTR's names of weights.

    python bench/peers/din.py dump recsys/din/testdata/torch.json

writes what the tests of recsys/din compare with: values, gradients and losses of
twenty steps. Torch 2.15.0 wrote the file.

    python bench/peers/din.py peer torch|deepctr|onnx

trains and serves for `eider bench dinspeed`; see peer() for the lines it reads and writes.
"""
import contextlib
import json
import math
import os
import resource
import sys
import time
import types
from importlib.metadata import version

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class Dice(nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.bn = nn.BatchNorm1d(cols, affine=False, eps=1e-9, momentum=0.01)
        self.alpha = nn.Parameter(torch.zeros(cols))

    def forward(self, x):
        p = torch.sigmoid(self.bn(x))
        return p * x + (1 - p) * self.alpha * x


ACTIVATIONS = {
    "sigmoid": lambda n: nn.Sigmoid(), "relu": lambda n: nn.ReLU(), "tanh": lambda n: nn.Tanh(),
    "prelu": lambda n: nn.PReLU(n, init=0.1), "dice": Dice,
}


class MLP(nn.Module):
    def __init__(self, cols, layers):
        super().__init__()
        modules = []
        for width in layers["hidden"]:
            modules.append(nn.Linear(cols, width))
            if layers.get("norm"):
                modules.append(nn.BatchNorm1d(width))
            modules.append(ACTIVATIONS[layers["activation"]](width))
            if layers.get("dropout"):
                modules.append(nn.Dropout(layers["dropout"]))
            cols = width
        modules.append(nn.Linear(cols, 1))
        self.mlp = nn.Sequential(*modules)
        for m in self.mlp:
            if isinstance(m, nn.Linear):
                nn.init.xavier_normal_(m.weight)
                nn.init.zeros_(m.bias)

    def forward(self, x):
        return self.mlp(x)


class Attention(nn.Module):
    def __init__(self, d, config):
        super().__init__()
        self.d, self.config = d, config
        self.attention_layer = MLP(4 * d, config["unit"])

    def forward(self, q, k, mask, padded):
        """q: B x d, k: B x T x d, mask: B x T. padded runs the network over padding
        as well, as FuxiCTR does; otherwise Dice does not see it."""
        e = q.unsqueeze(1).expand(-1, k.shape[1], -1)
        x = torch.cat([e, k, e - k, e * k], -1)
        if padded:
            a = self.attention_layer(x.view(-1, 4 * self.d)).view(k.shape[:2]) * mask
        else:
            a = torch.zeros(k.shape[:2]).masked_scatter(mask, self.attention_layer(x[mask]).flatten())
        if self.config.get("scaled"):
            a = a / math.sqrt(self.d)
        if self.config.get("softmax"):
            a = torch.softmax(a.masked_fill(~mask, -1e9), 1) * mask
        return (a.unsqueeze(-1) * k).sum(1)


class DIN(nn.Module):
    def __init__(self, config, sparse=True):
        super().__init__()
        self.config = config
        fields = config["item"] + config.get("user", [])
        self.embedding_layer = nn.Module()
        self.embedding_layer.embedding_layers = nn.ModuleDict(
            {f["name"]: nn.Embedding(f["rows"], f["dim"], sparse=sparse) for f in fields})
        for table in self.embedding_layer.embedding_layers.values():
            nn.init.normal_(table.weight, std=config["spread"])
        d = sum(f["dim"] for f in config["item"])
        if config["pooling"] == "attention":
            self.attention_layers = nn.ModuleList([Attention(d, config)])
        self.dnn = MLP(sum(f["dim"] for f in config.get("user", [])) + d * (3 if config.get("product") else 2), config["head"])
        if config.get("bias"):
            self.item_bias = nn.Embedding(config["item"][0]["rows"], 1, sparse=sparse)
            nn.init.zeros_(self.item_bias.weight)

    def embed(self, ids):
        """ids: a tensor per field of items."""
        tables = self.embedding_layer.embedding_layers
        return torch.cat([tables[f["name"]](x) for f, x in zip(self.config["item"], ids)], -1)

    def forward(self, items, past, mask, user, padded=False):
        q, k = self.embed(items), self.embed(past)
        if self.config["pooling"] == "mean":
            v = (k * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        else:
            v = self.attention_layers[0](q, k, mask, padded)
        tables = self.embedding_layer.embedding_layers
        x = [tables[f["name"]](u) for f, u in zip(self.config.get("user", []), user)] + [q, v]
        if self.config.get("product"):
            x.append(v * q)
        z = self.dnn(torch.cat(x, -1)).flatten()
        if self.config.get("bias"):
            z = z + self.item_bias(items[0]).flatten()
        return z

    def tables(self):
        return [p for n, p in self.named_parameters() if n.startswith("embedding_layer.") or n.startswith("item_bias.")]

    def dense(self):
        tables = {id(p) for p in self.tables()}
        return [p for p in self.parameters() if id(p) not in tables]


# ---- dump ----

def numbers(t):
    return [float(f"{x:.9g}") for x in t.detach().flatten().tolist()]


# Requests: ids of the items offered, of the history, of the user's field.
REQUESTS = [([3, 5], [1, 2, 3, 2], 0), ([7], [0, 9, 4], 2), ([1, 1, 8], [6, 11], 1), ([10], [], 2), ([0, 2], [5, 7, 3, 1, 8], 0)]
CATEGORY = [0, 1, 2, 3, 0, 1, 2, 3, 0, 0, 1, 2]
LABELS = [1, 0, 1, 0, 0, 1, 1, 1, 0]
CONFIGS = {
    "official": {
        "item": [{"name": "item_id", "rows": 12, "dim": 5}], "pooling": "attention", "softmax": True, "scaled": True,
        "product": True, "bias": True, "unit": {"hidden": [6, 4], "activation": "sigmoid"},
        "head": {"hidden": [6, 4], "activation": "prelu"}, "spread": 0.5, "lambda": 0.01,
    },
    "dice": {
        "item": [{"name": "item_id", "rows": 12, "dim": 4}, {"name": "cate_id", "rows": 4, "dim": 3}],
        "user": [{"name": "user_id", "rows": 3, "dim": 2}], "pooling": "attention",
        "unit": {"hidden": [6, 4], "activation": "dice"}, "head": {"hidden": [6, 4], "activation": "dice", "norm": True},
        "spread": 0.5,
    },
    "base": {
        "item": [{"name": "item_id", "rows": 12, "dim": 4}], "pooling": "mean", "unit": {"hidden": None, "activation": ""},
        "head": {"hidden": [6], "activation": "relu"}, "spread": 0.5,
    },
}


def rectangle(config):
    """REQUESTS as padded tensors, one row per item offered."""
    rows = [(c, past, u) for items, past, u in REQUESTS for c in items]
    longest = max(len(p) for _, p, _ in rows)
    items = torch.tensor([c for c, _, _ in rows])
    past = torch.tensor([p + [0] * (longest - len(p)) for _, p, _ in rows])
    mask = torch.tensor([[j < len(p) for j in range(longest)] for _, p, _ in rows])
    fields = [items, torch.tensor(CATEGORY)[items]], [past, torch.tensor(CATEGORY)[past]]
    n = len(config["item"])
    return fields[0][:n], fields[1][:n], mask, [torch.tensor([u for _, _, u in rows])] if config.get("user") else []


def regularise(model, samples, lam):
    """Adds lam / n_j * w_j to the gradient of each row used; n_j is how many samples use it."""
    items, past, mask, user = samples
    for i, f in enumerate(model.config["item"] + model.config.get("user", [])):
        n = torch.zeros(f["rows"])
        if i < len(items):
            n += torch.bincount(torch.cat([items[i], past[i][mask]]), minlength=f["rows"])
        else:
            n += torch.bincount(user[i - len(items)], minlength=f["rows"])
        p = model.embedding_layer.embedding_layers[f["name"]].weight
        g = p.grad.coalesce()
        rows = g.indices()[0]
        rows = rows[n[rows] > 0]  # padding has a gradient of zeros
        extra = (lam / n[rows]).unsqueeze(1) * p.detach()[rows]
        p.grad = (p.grad + torch.sparse_coo_tensor(rows.unsqueeze(0), extra, p.shape)).coalesce()


def used_only(p, n):
    """Drops rows of the gradient that only padding touched, which SparseAdam would move."""
    g = p.grad.coalesce()
    rows = g.indices()[0]
    keep = n[rows] > 0
    p.grad = torch.sparse_coo_tensor(rows[keep].unsqueeze(0), g.values()[keep], p.shape).coalesce()


def case(name, config):
    torch.manual_seed(3)
    model = DIN(config)
    with torch.no_grad():  # nothing of an even value hides behind an initial zero or one
        for n, p in model.named_parameters():
            if p.dim() == 1 or n.startswith("item_bias"):
                p.add_(0.3 * torch.randn(p.shape))
        for n, p in model.named_buffers():
            if n.endswith("running_mean"):
                p.copy_(0.3 * torch.randn(p.shape))
            elif n.endswith("running_var"):
                p.copy_(0.5 + torch.rand(p.shape))
    samples = rectangle(config)
    labels = torch.tensor(LABELS, dtype=torch.float32)
    state = {n: p for n, p in model.state_dict().items() if not n.endswith("num_batches_tracked")}
    out = {"name": name, "config": config, "start": {n: {"shape": list(p.shape), "data": numbers(p)} for n, p in state.items()}}
    model.eval()
    out["eval"] = numbers(model(*samples))
    model.train()
    optimizers = [torch.optim.Adam(model.dense(), 0.01), torch.optim.SparseAdam(model.tables(), 0.01)]
    out["loss"] = []
    for step in range(20):
        for o in optimizers:
            o.zero_grad()
        loss = F.binary_cross_entropy_with_logits(model(*samples), labels)
        loss.backward()
        if step == 0:
            out["grad"] = {n: numbers(p.grad.to_dense()) for n, p in model.named_parameters()}
        items, past, mask, user = samples
        for i, f in enumerate(config["item"]):
            n = torch.bincount(torch.cat([items[i], past[i][mask]]), minlength=f["rows"])
            used_only(model.embedding_layer.embedding_layers[f["name"]].weight, n)
        if config.get("lambda"):
            regularise(model, samples, config["lambda"])
        for o in optimizers:
            o.step()
        out["loss"].append(float(f"{loss.item():.9g}"))
    out["end"] = {n: numbers(p) for n, p in model.state_dict().items() if not n.endswith("num_batches_tracked")}
    return out


def dump(path):
    torch.set_num_threads(1)
    offers, starts = [0], [0]
    for items, past, _ in REQUESTS:
        offers.append(offers[-1] + len(items))
        starts.append(starts[-1] + len(past))
    batch = {
        "items": [c for items, _, _ in REQUESTS for c in items], "offers": offers,
        "past": [j for _, past, _ in REQUESTS for j in past], "starts": starts,
        "user": [u for _, _, u in REQUESTS], "labels": LABELS,
    }
    with open(path, "w") as f:
        json.dump({"torch": torch.__version__, "category": CATEGORY, "batch": batch,
                   "cases": [case(n, c) for n, c in CONFIGS.items()]}, f, separators=(",", ":"))
        f.write("\n")


# ---- peer ----

class Trainer:
    """Steps of a model on batches that a file holds: int32 counts of batches, rows and
    history, then per batch items, histories padded with 0, their lengths, labels."""

    def __init__(self, config, path, form):
        with open(config) as f:
            config = json.load(f)
        torch.manual_seed(1)
        raw = np.fromfile(path, dtype=np.int32)
        n, self.rows, self.past = map(int, raw[:3])
        at = [self.rows, self.rows * (self.past + 1), self.rows * (self.past + 2)]
        self.build(config, form)
        self.batches = [self.batch(*np.split(b, at)) for b in raw[3:].reshape(n, -1)]

    def build(self, config, form):
        self.model = DIN(config, form == "sparse")
        if form == "sparse":
            self.optimizers = [torch.optim.Adam(self.model.dense(), 3e-3, fused=True), torch.optim.SparseAdam(self.model.tables(), 3e-3)]
        else:
            self.optimizers = [torch.optim.Adam(self.model.parameters(), 3e-3, fused=True)]

    def batch(self, items, history, lengths, labels):
        history = torch.from_numpy(history.reshape(self.rows, self.past).astype(np.int64))
        mask = torch.arange(self.past).unsqueeze(0) < torch.from_numpy(lengths.astype(np.int64)).unsqueeze(1)
        return torch.from_numpy(items.astype(np.int64)), history, mask, torch.from_numpy(labels.astype(np.float32))

    def loss(self, items, past, mask, labels):
        return F.binary_cross_entropy_with_logits(self.model([items], [past], mask, [], padded=True), labels)

    def train(self, first, count, threads):
        torch.set_num_threads(threads)
        self.model.train()
        total, began = 0.0, time.perf_counter()
        for i in range(first, first + count):
            for o in self.optimizers:
                o.zero_grad()
            loss = self.loss(*self.batches[i % len(self.batches)])
            loss.backward()
            for o in self.optimizers:
                o.step()
            total += loss.item()
        wall = time.perf_counter() - began
        return {"wall": wall, "loss": total / count, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10}


class DeepCTR(Trainer):
    """The same steps by DeepCTR-Torch's network, as its fit() takes them but for a bar of
    progress: one field of items, Adam on dense gradients, no decay."""

    def build(self, config, form):
        from deepctr_torch.inputs import SparseFeat, VarLenSparseFeat
        from deepctr_torch.models import DIN as Network

        if form != "dense" or len(config["item"]) != 1 or config.get("user"):
            raise ValueError("DeepCTR-Torch runs with dense gradients and one field, of items")
        field, unit, head = config["item"][0], config["unit"], config["head"]
        item = SparseFeat("item", field["rows"], embedding_dim=field["dim"])
        past = SparseFeat("hist_item", field["rows"], embedding_dim=field["dim"], embedding_name="item")
        self.model = Network(
            [item, VarLenSparseFeat(past, maxlen=self.past, length_name="length")], ["item"],
            dnn_hidden_units=head["hidden"], dnn_activation=head["activation"], dnn_use_bn=head.get("norm", False),
            att_hidden_size=unit["hidden"], att_activation=unit["activation"], att_weight_normalization=config.get("softmax", False),
            l2_reg_embedding=0, init_std=config["spread"], seed=1)
        self.optimizers = [torch.optim.Adam(self.model.parameters(), 3e-3, fused=True)]

    def batch(self, items, history, lengths, labels):
        columns = {"item": items.reshape(-1, 1), "hist_item": history.reshape(self.rows, self.past), "length": lengths.reshape(-1, 1)}
        x = np.concatenate([columns[name] for name in self.model.feature_index], 1)
        return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(labels.astype(np.float32))

    def loss(self, x, labels):
        return F.binary_cross_entropy(self.model(x).flatten(), labels)


class Offer(nn.Module):
    """Logits of items for one history."""

    def __init__(self, config):
        super().__init__()
        with open(config) as f:
            self.model = DIN(json.load(f), False)
        self.eval()

    def forward(self, items, past):
        shape = items.shape[0], past.shape[0]
        return self.model([items], [past.unsqueeze(0).expand(shape)], torch.ones(shape, dtype=torch.bool), [], padded=True)


def exported(model, items, past, folder, threads):
    """The model as ONNX Runtime runs it; raises if it does not score as PyTorch does."""
    import onnxruntime

    path = os.path.join(folder, "din.onnx")
    with contextlib.redirect_stdout(sys.stderr):  # the exporter talks
        torch.onnx.export(model, (items, past), path, input_names=["items", "past"], dynamo=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(items, past):
        return session.run(None, {"items": items.numpy(), "past": past.numpy()})[0]

    off = np.abs(run(items, past) - model(items, past).numpy()).max()
    if not off < 1e-4:
        raise ValueError(f"the exported model is off by {off}")
    return run


def serve(kind, config, items, past, times, threads):
    """Seconds of each of so many requests: one user, items, a history."""
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    run = model = Offer(config)
    rows = model.model.config["item"][0]["rows"]
    spent = []
    with torch.inference_mode(kind == "torch"), torch.no_grad():
        if kind == "onnx":
            run = exported(model, torch.randint(rows, (items,)), torch.randint(rows, (past,)), os.path.dirname(config), threads)
        for i in range(times + 5):
            q, k = torch.randint(rows, (items,)), torch.randint(rows, (past,))
            began = time.perf_counter()
            run(q, k)
            if i >= 5:
                spent.append(time.perf_counter() - began)
    return {"p50": float(np.median(spent))}


def versions(kind):
    """What takes part. Fails where it is not installed."""
    if kind == "deepctr":
        # Importing it would ask the package index for a newer version, and print.
        utils = types.ModuleType("deepctr_torch.utils")
        utils.check_version = lambda version: None
        sys.modules[utils.__name__] = utils
        import deepctr_torch.models
    names = {"torch": ["torch"], "deepctr": ["deepctr-torch", "torch"], "onnx": ["onnxruntime", "onnx", "onnxscript", "torch"]}[kind]
    return ", ".join(f"{name} {version(name)}" for name in names)


def peer(kind):
    """Lines in, lines out, fields separated by tabs, as bench/peers/README.md says:

        load CONFIG BATCHES dense|sparse     a model and its optimiser
        train FIRST COUNT THREADS            wall, loss, peak of resident bytes
        serve CONFIG ITEMS PAST TIMES THREADS    p50
    """
    trainer = None
    try:
        print("ok\tversion=" + versions(kind), flush=True)
    except ImportError as e:
        print("error\t" + str(e), flush=True)
        return
    for line in sys.stdin:
        word, *args = line.rstrip("\n").split("\t")
        try:
            out = {}
            if word == "load":
                trainer = {"torch": Trainer, "deepctr": DeepCTR}[kind](*args)
            elif word == "train":
                out = trainer.train(*map(int, args))
            elif word == "serve":
                out = serve(kind, args[0], *map(int, args[1:]))
            elif word == "quit":
                return
            else:
                raise ValueError("unknown request " + word)
            print("\t".join(["ok"] + [f"{k}={v}" for k, v in out.items()]), flush=True)
        except Exception as e:  # the other side tells
            print("error\t" + str(e).replace("\n", " ").replace("\t", " "), flush=True)


if __name__ == "__main__":
    {"dump": dump, "peer": peer}[sys.argv[1]](*sys.argv[2:])
