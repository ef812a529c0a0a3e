#!/usr/bin/env python3
"""Single-precision products by numpy's OpenBLAS on one thread, called from C: shape,
form (T: that operand is stored transposed) and GFLOP/s of the fastest batch, beside

    go test -run '^$' -bench 'Gemm$' -benchtime 30x ./simd

Needs numpy, threadpoolctl and a C compiler.    gemm.py [ROUNDS]"""
import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["OPENBLAS_NUM_THREADS"] = "1"
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # either would choose another kernel than the CPU's
    os.environ.pop(name, None)
import numpy as np  # noqa: E402
import threadpoolctl  # noqa: E402

SHAPES = [(n, n, n) for n in (8, 16, 24, 32, 48, 64, 128, 256, 512, 1024)] + [
    (1, 128, 128), (4, 512, 128), (8, 512, 128), (16, 512, 128), (200, 80, 144), (256, 1, 80), (10000, 36, 36), (10000, 16, 36)]
NAMES = ("scipy_cblas_sgemm64_", "cblas_sgemm64_", "scipy_cblas_sgemm", "cblas_sgemm")


def timer():
    here = pathlib.Path(__file__).parent
    with tempfile.TemporaryDirectory() as d:
        out = os.path.join(d, "gemm.so")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", out, here / "gemm.c"], check=True)
        f = ctypes.CDLL(out).fastest
    f.restype = ctypes.c_double
    return f


def aligned(n):
    raw = np.empty(n + 16, dtype=np.float32)
    skip = -raw.ctypes.data % 64 // 4
    x = raw[skip:skip + n]
    x[:] = np.random.default_rng(1).standard_normal(n, dtype=np.float32)
    return x


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    info = next(x for x in threadpoolctl.threadpool_info() if x["internal_api"] == "openblas")
    print("# OpenBLAS", info["version"], info["architecture"], info["num_threads"], "thread, numpy", np.__version__)
    lib, fastest = ctypes.CDLL(info["filepath"]), timer()
    name = next(n for n in NAMES if hasattr(lib, n))
    sgemm = ctypes.cast(getattr(lib, name), ctypes.c_void_p)
    for m, n, k in SHAPES:
        a, b, c = aligned(m * k), aligned(k * n), aligned(m * n)
        for form in ("NN", "NT", "TN", "TT"):
            flops = 2 * m * n * k
            ns = fastest(sgemm, "64_" in name, form[0] == "T", form[1] == "T", m, n, k,
                         *(ctypes.c_void_p(x.ctypes.data) for x in (a, b, c)), 1 + int(2e6 / flops), rounds)
            print(f"{m}x{n}x{k}/{form}\t{flops / ns:.1f}")


main()
