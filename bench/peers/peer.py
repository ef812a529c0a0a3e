"""Vector libraries as benchmark peers: python peer.py NAME, NAME as in LIBRARIES below.

A long-lived process that speaks the line protocol of README.md on stdin and
stdout. Times are taken here, around the library's own call: one batch call with
one thread where the library has one (hnswlib, usearch, faiss), so Python's
overhead is a few microseconds per batch and not per query; zvec has no batch
call, so its figure contains one Python call per query, as its users see.
"""
import ctypes
import os
import resource
import shutil
import sys
import tempfile
import time

# A core type forced on OpenBLAS would cripple numpy-based peers, not help ours.
os.environ.pop("OPENBLAS_CORETYPE", None)

import numpy as np


def read(path):
    rows, cols = np.fromfile(path, dtype="<u4", count=2)
    return np.fromfile(path, dtype="<f4", offset=8).reshape(rows, cols)


def resident():
    """Bytes in RAM, once freed memory has gone back to the system."""
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


class Hnswlib:
    name, needs = "hnswlib", "hnswlib"

    def __init__(self):
        import hnswlib
        self.lib = hnswlib
        self.version = "0.8.0"

    def build(self, base, metric, m, ef, threads):
        self.index = self.lib.Index(space=metric, dim=base.shape[1])
        self.index.init_index(max_elements=len(base), M=m, ef_construction=ef)
        self.index.add_items(base, num_threads=threads)

    def search(self, queries, k, ef):
        self.index.set_ef(ef)
        return self.index.knn_query(queries, k=k, num_threads=1)[0]


class USearch:
    """usearch in float32: the same precision as every other peer."""
    dtype = "f32"

    def __init__(self):
        import usearch
        from usearch.index import Index
        self.make = Index
        self.version = usearch.__version__

    def build(self, base, metric, m, ef, threads):
        self.index = self.make(ndim=base.shape[1], metric={"l2": "l2sq", "ip": "ip"}[metric], dtype=self.dtype,
                               connectivity=m, expansion_add=ef, expansion_search=ef)
        self.index.add(np.arange(len(base), dtype=np.uint64), base, threads=threads)

    def search(self, queries, k, ef):
        self.index.expansion_search = ef
        return self.index.search(queries, k, threads=1).keys


class USearchHalf(USearch):
    """usearch with bfloat16 vectors: its fastest type, at half the memory."""
    dtype = "bf16"


class USearchByte(USearch):
    """usearch with int8 vectors, quantised here: its own cast scales by 127 over the vector's length, which leaves a
    few steps of 256 in hundreds of dimensions. One offset and one scale for the whole set (the 0.01 % and 99.99 %
    quantiles become -127 and 127) keep l2 order and use every step; for ip the offset is zero."""
    dtype = "i8"

    def build(self, base, metric, m, ef, threads):
        sample = base[:: max(1, len(base) // 20000)]
        low, high = np.quantile(sample, (0.0001, 0.9999)) if metric == "l2" else (-np.abs(sample).max(), np.abs(sample).max())
        self.offset, self.scale = np.float32((low + high) / 2), np.float32(254 / max(high - low, 1e-30))
        super().build(self.code(base), metric, m, ef, threads)

    def code(self, x):
        y = x - self.offset
        y *= self.scale
        return np.clip(np.rint(y, out=y), -127, 127, out=y).astype(np.int8)

    def search(self, queries, k, ef):
        return super().search(self.code(queries), k, ef)


class Faiss:
    """faiss HNSW over float32."""

    def __init__(self):
        import faiss
        self.lib = faiss
        self.version = faiss.__version__

    def make(self, dim, m, kind):
        return self.lib.IndexHNSWFlat(dim, m, kind)

    def build(self, base, metric, m, ef, threads):
        self.lib.omp_set_num_threads(threads)
        kind = {"l2": self.lib.METRIC_L2, "ip": self.lib.METRIC_INNER_PRODUCT}[metric]
        self.index = self.make(base.shape[1], m, kind)
        self.index.hnsw.efConstruction = ef
        self.index.train(base)
        self.index.add(base)
        self.lib.omp_set_num_threads(1)

    def search(self, queries, k, ef):
        self.index.hnsw.efSearch = ef
        return self.index.search(queries, k)[1]


class FaissByte(Faiss):
    """faiss HNSW over 8-bit scalar codes, ranges trained per dimension; nothing is rescored."""

    def make(self, dim, m, kind):
        return self.lib.IndexHNSWSQ(dim, self.lib.ScalarQuantizer.QT_8bit, m, kind)


class FaissIVFPQ(Faiss):
    """faiss inverted lists of 4-bit product codes (two dimensions each) scanned in registers, refined by float32. Its
    setting is nprobe, and the candidates refined grow with it: k_factor = 10 up to 16 lists, 40 beyond."""
    probes = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 90, 128)

    def build(self, base, metric, m, ef, threads):
        f = self.lib
        f.omp_set_num_threads(1)  # hundreds of tiny k-means: a second thread makes them ten times slower
        kind = {"l2": f.METRIC_L2, "ip": f.METRIC_INNER_PRODUCT}[metric]
        dim, lists = base.shape[1], max(1, int(4 * len(base) ** 0.5))
        coarse = f.IndexFlat(dim, kind)
        lists = min(lists, max(1, len(base) // 39))  # fewer than 39 vectors a list and k-means complains
        self.codes = f.IndexIVFPQFastScan(coarse, dim, lists, dim // 2, 4, kind)
        self.codes.cp.max_points_per_centroid = 64
        self.index = f.IndexRefineFlat(self.codes)
        self.held = coarse  # faiss does not own what Python made
        self.index.train(base)
        f.omp_set_num_threads(threads)
        self.index.add(base)
        f.omp_set_num_threads(1)
        return {"settings": ",".join(str(p) for p in self.probes if p <= lists)}

    def search(self, queries, k, probe):
        self.codes.nprobe = probe
        self.index.k_factor = 10 if probe <= 16 else 40
        return self.index.search(queries, k)[1]


class Zvec:
    """zvec through its public collection call: ids are document keys."""
    quantize = "UNDEFINED"

    def __init__(self):
        import zvec
        self.lib = zvec
        self.version = zvec.__version__
        self.dir = tempfile.mkdtemp(prefix="eider-zvec-")

    def build(self, base, metric, m, ef, threads):
        z = self.lib
        z.init(log_level=z.LogLevel.ERROR, query_threads=1, optimize_threads=threads)
        kind = {"l2": z.MetricType.L2, "ip": z.MetricType.IP}[metric]
        schema = z.CollectionSchema(name="bench", vectors=z.VectorSchema(
            "v", z.DataType.VECTOR_FP32, dimension=base.shape[1],
            index_param=z.HnswIndexParam(metric_type=kind, m=m, ef_construction=ef,
                                         quantize_type=getattr(z.QuantizeType, self.quantize))))
        self.index = z.create_and_open(os.path.join(self.dir, "c"), schema)
        step = 1000
        for at in range(0, len(base), step):
            docs = [z.Doc(id=str(i), vectors={"v": base[i]}) for i in range(at, min(at + step, len(base)))]
            for status in self.index.insert(docs):
                if not status.ok():
                    raise RuntimeError(status.message())
        self.index.optimize(z.OptimizeOption(concurrency=threads))

    def search(self, queries, k, ef):
        z, out = self.lib, np.full((len(queries), k), -1, dtype=np.int64)
        param = z.HnswQueryParam(ef=ef)
        for i, q in enumerate(queries):
            found = self.index.query(z.Query(field_name="v", vector=q, param=param), topk=k, output_fields=[])
            for j, doc in enumerate(found):
                out[i, j] = int(doc.id)
        return out

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class ZvecByte(Zvec):
    """zvec traversing int8 codes; nothing is rescored."""
    quantize = "INT8"


class Runner:
    def __init__(self, lib):
        self.lib = lib

    def load(self, base, queries, metric):
        self.base, self.queries, self.metric = read(base), read(queries), metric

    def build(self, m, ef, threads):
        before, wall, cpu = resident(), time.perf_counter(), time.process_time()
        own = self.lib.build(self.base, self.metric, int(m), int(ef), int(threads)) or {}
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return {"wall": wall, "cpu": cpu, "bytes": resident() - before, "memory": "rss", **own}

    def filter(self, path):
        if path != "-":
            raise NotImplementedError("no filter in this runner; the C++ hnswlib runner has one")

    def search(self, k, ef, out, first="0", count=None):
        q = self.queries[int(first):][:int(count or len(self.queries))]
        wall, cpu = time.perf_counter(), time.process_time()
        ids = self.lib.search(q, int(k), int(ef))
        answer = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        if out != "-":
            with open(out, "wb") as f:
                np.array(ids.shape, dtype="<u4").tofile(f)
                np.ascontiguousarray(ids).astype("<i4").tofile(f)
        return answer


LIBRARIES = {
    "hnswlib": Hnswlib,
    "usearch": USearch, "usearch-bf16": USearchHalf, "usearch-i8": USearchByte,
    "faiss": Faiss, "faiss-sq8": FaissByte, "faiss-ivfpq": FaissIVFPQ,
    "zvec": Zvec, "zvec-int8": ZvecByte,
}


def main():
    # Libraries print to file descriptor 1; the protocol keeps the real one.
    pipe = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        lib = LIBRARIES[sys.argv[1]]()
    except Exception as e:  # an absent library is an answer, not a traceback
        print("error\t%s" % str(e).replace("\n", " "), file=pipe)
        return
    print("ok\tversion=%s" % lib.version, file=pipe)
    runner = Runner(lib)
    for line in sys.stdin:
        verb, *args = line.rstrip("\n").split("\t")
        if verb == "quit":
            break
        try:
            if verb not in ("load", "build", "filter", "search"):
                raise ValueError("unknown verb " + verb)
            answer = getattr(runner, verb)(*args) or {}
            print("\t".join(["ok"] + ["%s=%s" % kv for kv in answer.items()]), file=pipe)
        except Exception as e:
            print("error\t%s: %s" % (type(e).__name__, str(e).replace("\n", " ")), file=pipe)
    if hasattr(lib, "close"):
        lib.close()


if __name__ == "__main__":
    main()
