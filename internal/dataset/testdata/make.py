# Writes the golden files of this folder: python make.py (numpy and h5py).
# Every matrix holds value(i, j) = (i*7 + j*3) % 101 - (20 where signed), so tests
# can check all of it without a second file.
import gzip, struct
import h5py, numpy as np

def value(rows, cols, dtype, signed=True):
    i, j = np.mgrid[0:rows, 0:cols]
    return ((i * 7 + j * 3) % 101 - (20 if signed else 0)).astype(dtype)

f, u, s, n = (value(6, 5, t, g) for t, g in ((np.float32, 1), (np.uint8, 0), (np.int8, 1), (np.int32, 1)))
for name, a, t in (("a.fvecs", f, "<f4"), ("a.bvecs", u, "u1"), ("a.ivecs", n, "<i4")):
    with open(name, "wb") as out:
        for row in a:
            out.write(struct.pack("<i", a.shape[1]) + row.astype(t).tobytes())
for name, a, t in (("a.fbin", f, "<f4"), ("a.u8bin", u, "u1"), ("a.i8bin", s, "i1"), ("a.ibin", n, "<i4")):
    with open(name, "wb") as out:
        out.write(struct.pack("<II", *a.shape) + a.astype(t).tobytes())
for t in ("<f4", "<f8", "<f2", ">f4", "<i8", "|u1", "<i2"):
    np.save("a-%s%s.npy" % ({"<": "le", ">": "be", "|": "le"}[t[0]], t[1:]), value(6, 5, t, t != "|u1"))
np.save("labels.npy", np.arange(6, dtype=np.int64))
np.save("fortran.npy", np.asfortranarray(f))
with gzip.GzipFile("a-idx3-ubyte.gz", "wb", mtime=0) as out:  # 6 images of 1 x 5
    out.write(struct.pack(">BBBBIII", 0, 0, 8, 3, 6, 1, 5) + u.tobytes())
with open("a-idx2-float", "wb") as out:
    out.write(struct.pack(">BBBBII", 0, 0, 13, 2, 6, 5) + f.astype(">f4").tobytes())

big = value(37, 11, np.float32)
def h5(name, libver, **kw):
    with h5py.File(name, "w", libver=libver, track_order=False) as h:
        h.attrs["distance"] = "euclidean"
        h.attrs["dimension"] = 11
        h.attrs["point_type"] = np.bytes_("float")
        h.create_dataset("train", data=big, **kw)
        h.create_dataset("test", data=big[:4].astype(np.float64))
        h.create_dataset("neighbors", data=value(4, 10, np.int32))
        h.create_dataset("ids", data=value(4, 10, np.int64), **kw)
        h.create_dataset("half", data=big[:5].astype(np.float16))
h5("old.hdf5", "earliest")
h5("new.hdf5", ("v110", "v110"))
h5("old-gzip.hdf5", "earliest", chunks=(4, 3), compression="gzip", shuffle=True)
with h5py.File("old-sum.hdf5", "w", libver="earliest") as h:
    h.create_dataset("train", data=big, chunks=(10, 4), fletcher32=True)
h5("new-gzip.hdf5", ("v110", "v110"), chunks=(4, 3), compression="gzip", shuffle=True)
h5("new-plain.hdf5", ("v110", "v110"), chunks=(4, 4))
h5("new-single.hdf5", ("v110", "v110"), chunks=True, compression="gzip")
with h5py.File("new-paged.hdf5", "w", libver=("v110", "v110")) as h:  # > 1024 chunks
    h.create_dataset("train", data=value(110, 11, np.uint8, False), chunks=(1, 1))
with h5py.File("lzf.hdf5", "w", libver="earliest") as h:
    h.create_dataset("train", data=big, chunks=(37, 11), compression="lzf")
with h5py.File("resizable.hdf5", "w", libver=("v110", "v110")) as h:
    h.create_dataset("train", data=big, maxshape=(None, 11), chunks=(4, 11))
with h5py.File("userblock.hdf5", "w", libver="earliest", userblock_size=1024) as h:
    h.create_dataset("train", data=big)
