"""Writes internal/nn/testdata/torch.json: values and gradients of PyTorch's
layers and losses, and traces of its optimisers, for the tests of internal/nn.

    python bench/peers/nn_dump.py internal/nn/testdata/torch.json

Needs torch (2.15.0 wrote the file). The gradient of a case is that of
sum(out * cos(1 + i)) over the running index i, in float32.
"""
import json
import math
import sys

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
gen = torch.Generator().manual_seed(7)


def rand(*shape):
    return torch.randn(*shape, generator=gen)


def numbers(t):
    return [float(f"{x:.9g}") for x in t.detach().flatten().tolist()]


cases = []


def case(name, fn, *inputs):
    leaves = [x.clone().requires_grad_() for x in inputs]
    out = fn(*leaves)
    weights = torch.cos(1 + torch.arange(out.numel(), dtype=torch.float32)).reshape(out.shape)
    (out * weights).sum().backward()
    cases.append({
        "name": name,
        "in": [{"shape": list(x.shape), "data": numbers(x)} for x in inputs],
        "out": numbers(out),
        "grad": [numbers(x.grad) for x in leaves],
    })


def dice(training):
    def f(x, alpha):
        z = F.batch_norm(x, torch.zeros(5), torch.ones(5), training=training, momentum=0.01, eps=1e-9)
        p = torch.sigmoid(z)
        return p * x + (1 - p) * alpha * x
    return f


def batch_norm(training):
    return lambda x, g, b: F.batch_norm(x, torch.zeros(5), torch.ones(5), g, b, training, 0.1, 1e-5)


def attention(q, k, w1, b1, w2, b2):
    """One masked attention unit of DIN over two histories of 3 and 2."""
    e = torch.cat([q[:1].expand(3, -1), q[1:].expand(2, -1)])
    h = torch.sigmoid(torch.cat([e, k, e - k, e * k], 1) @ w1.T + b1)
    s = (h @ w2.T + b2).flatten()
    out = [torch.softmax(s[lo:hi], 0) @ k[lo:hi] for lo, hi in ((0, 3), (3, 5))]
    return torch.stack(out)


x = rand(6, 5)
case("linear", F.linear, x, rand(4, 5), rand(1, 4))
for name in ("relu", "sigmoid", "tanh", "selu"):
    case(name, getattr(torch, name), x)
case("prelu", lambda x, a: F.prelu(x, a.flatten()), x, rand(1, 5))
case("softmax", lambda x: torch.softmax(x, 1), x)
case("layernorm", lambda x, g, b: F.layer_norm(x, (5,), g.flatten(), b.flatten()), x, rand(1, 5), rand(1, 5))
for mode in (True, False):
    word = "train" if mode else "eval"
    case("batchnorm-" + word, lambda x, g, b: batch_norm(mode)(x, g.flatten(), b.flatten()), x, rand(1, 5), rand(1, 5))
    case("dice-" + word, dice(mode), x, rand(1, 5))
case("attention", attention, rand(2, 4), rand(5, 4), rand(3, 16), rand(1, 3), rand(1, 3), rand(1, 1))
y = torch.tensor([1.0, 0, 1, 0.5, 0, 1])
labels = torch.tensor([2, 0, 1, 4, 3, 2])
case("bce", lambda x: F.binary_cross_entropy_with_logits(x.flatten(), y), rand(6, 1))
case("ce", lambda x: F.cross_entropy(x, labels, label_smoothing=0.1), x)
case("mse", lambda x: F.mse_loss(x.flatten(), y), rand(6, 1))
case("hinge", lambda p, n: F.margin_ranking_loss(p, n, torch.ones(6, 1), margin=1.0), rand(6, 1), rand(6, 1))
case("logistic", lambda p, n: -F.logsigmoid(p - n).mean(), rand(6, 1), rand(6, 1))
case("listwise", lambda x: F.cross_entropy(x.reshape(2, 3), torch.tensor([[0.25, 0, 0.75], [0, 1, 0]])), rand(6, 1))
case("infonce", lambda a, b: F.cross_entropy(20 * F.normalize(a) @ F.normalize(b).T, torch.arange(6)), x, rand(6, 5))

start = {"table": 0.5 * rand(10, 4), "w1": 0.5 * rand(8, 4), "b1": 0.1 * rand(1, 8), "w2": 0.5 * rand(1, 8)}
ids = [[(3 * s + i * i) % 10 for i in range(6)] for s in range(20)]


def trace(name, dense, sparse):
    p = {k: v.clone().requires_grad_() for k, v in start.items()}
    optimizers = [dense([p["w1"], p["b1"], p["w2"]]), sparse([p["table"]])]
    losses = []
    for step in ids:
        e = F.embedding(torch.tensor(step), p["table"], sparse=name != "momentum" and name != "adamw")
        z = torch.tanh(e @ p["w1"].T + p["b1"]) @ p["w2"].T
        loss = F.binary_cross_entropy_with_logits(z.flatten(), y)
        for o in optimizers:
            o.zero_grad()
        loss.backward()
        for o in optimizers:
            o.step()
        losses.append(loss)
    return {"name": name, "loss": numbers(torch.stack(losses)), "end": {k: numbers(v) for k, v in p.items()}}


O = torch.optim
none = lambda p: O.SGD(p, 0.0)
traces = [
    trace("sgd", lambda p: O.SGD(p, 0.1), lambda p: O.SGD(p, 0.1)),
    trace("momentum", lambda p: O.SGD(p, 0.1, momentum=0.9, weight_decay=0.01), none),
    trace("adam", lambda p: O.Adam(p, 0.05), lambda p: O.SparseAdam(p, 0.05)),
    trace("adamw", lambda p: O.AdamW(p, 0.05, weight_decay=0.1), none),
    trace("adagrad", lambda p: O.Adagrad(p, 0.1), lambda p: O.Adagrad(p, 0.1)),
]



def conv(height, width, rows, cols, above, beside, stride):
    """Rows of pixels with channels as columns, in and out; two images."""
    def f(x, w, b):
        image = x.reshape(2, height, width, 3).permute(0, 3, 1, 2)
        y = F.conv2d(image, w.reshape(4, 3, rows, cols), b.flatten(), stride, (above, beside))
        return y.permute(0, 2, 3, 1).reshape(-1, 4)
    return f


def conv1d(x, w, b):
    y = F.conv1d(x.reshape(2, 6, 3).permute(0, 2, 1), w.reshape(4, 3, 3), b.flatten(), padding=2)
    return y.permute(0, 2, 1).reshape(-1, 4)


def gru(x, h, wx, wh, bx, bh):
    """Two steps of a cell, the second on the same input."""
    for _ in range(2):
        h = torch.gru_cell(x, h, wx, wh, bx.flatten(), bh.flatten())
    return h


case("conv1d", conv1d, rand(12, 3), rand(4, 9), rand(1, 4))
case("conv2d", conv(4, 3, 3, 2, 1, 1, 1), rand(24, 3), rand(4, 18), rand(1, 4))
case("conv2d-strides", conv(5, 4, 2, 3, 1, 0, 2), rand(40, 3), rand(4, 18), rand(1, 4))
case("gru", gru, rand(3, 4), rand(3, 2), rand(6, 4), rand(6, 2), rand(1, 6), rand(1, 6))

with open(sys.argv[1], "w") as f:
    json.dump({
        "torch": torch.__version__, "cases": cases, "ids": ids, "targets": numbers(y), "labels": labels.tolist(),
        "start": {k: {"shape": list(v.shape), "data": numbers(v)} for k, v in start.items()}, "traces": traces,
    }, f, separators=(",", ":"))
    f.write("\n")
