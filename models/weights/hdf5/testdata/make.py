"""HDF5 files with all that Keras's may have, and with what is refused, and the values that h5py reads from them.
Run here: /usr/bin/python3 make.py (Debian's python3-h5py)"""
import hashlib
import json
import platform

import h5py
import numpy as np

draw = np.random.default_rng(1)
cases = []


def note(group, name):
    d = group[name]
    cases.append({"path": d.name.strip("/"), "dims": list(d.shape), "values": [float(v) for v in np.asarray(d, dtype="f4").ravel()]})


with h5py.File("arrays.h5", "w") as f:
    f.attrs["words"] = [b"one", b"three", b"a long word"]
    f.attrs["none"] = []
    f.attrs["varies"] = "1.2.2"
    f.attrs["list"] = np.array(["a", "", "ccc"], dtype=h5py.string_dtype())
    f.attrs["padded"] = np.array([b"ab", b"abc"], dtype="S5")
    f.attrs["number"] = 3
    g = f.create_group("layer")
    g.create_dataset("plain", data=draw.normal(size=(3, 4)).astype("f4"))
    g.create_dataset("double", data=draw.normal(size=(5,)))
    g.create_dataset("big", data=draw.normal(size=(2, 2)).astype(">f4"))
    g.create_dataset("scalar", data=np.float32(2.5))
    g.create_dataset("empty", shape=(0, 3), dtype="f4")
    g.create_dataset("chunks", data=draw.normal(size=(5, 4, 3)).astype("f4"), chunks=(2, 3, 3))
    g.create_dataset("gzip", data=draw.normal(size=(7, 5)).astype("f4"), chunks=(3, 2), compression="gzip")
    g.create_dataset("shuffled", data=np.arange(40, dtype="f8").reshape(10, 4), chunks=(4, 4), compression="gzip", shuffle=True)
    g.create_dataset("many", data=draw.normal(size=(80,)).astype("f4"), chunks=(1,))  # a B-tree of two levels
    compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    compact.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((2, 2))
    d = h5py.h5d.create(g.id, b"compact", h5py.h5t.IEEE_F32LE, space, dcpl=compact)
    d.write(h5py.h5s.ALL, h5py.h5s.ALL, np.float32([[1, 2], [3, 4]]))
    for name in g:
        note(g, name)
    crowd = f.create_group("crowd")
    for i in range(140):  # a B-tree of two levels here too
        crowd.create_dataset(f"member{i:03d}:0", data=np.float32(i))
    for i in (0, 7, 100, 139):
        note(crowd, f"member{i:03d}:0")
    # What is refused.
    bad = f.create_group("bad")
    bad.create_dataset("integers", data=[1, 2])
    bad.create_dataset("unfilled", shape=(3,), dtype="f4")
    bad.create_dataset("half", data=np.float16([1]))
    bad.create_dataset("checked", data=np.float32([1, 2]), chunks=(2,), fletcher32=True)
    ordered = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    ordered.set_link_creation_order(h5py.h5p.CRT_ORDER_TRACKED)
    h5py.h5g.create(bad.id, b"ordered", gcpl=ordered)
    bad.create_dataset("holes", shape=(6,), dtype="f4", chunks=(2,))[:2] = 1
with h5py.File("links.h5", "w") as f:
    f["soft"] = h5py.SoftLink("/x")
with h5py.File("latest.h5", "w", libver="latest") as f:
    f.create_dataset("x", data=np.float32([1]))
with h5py.File("ordered.h5", "w", track_order=True) as f:
    f.create_group("b")

program = "make.py"
source = {
    "tool": "h5py",
    "version": f"Python {platform.python_version()}, h5py {h5py.__version__}, HDF5 {h5py.version.hdf5_version}, numpy {np.__version__}",
    "command": "/usr/bin/python3 " + program,
    "program": program,
    "program_md5": hashlib.md5(open(program, "rb").read()).hexdigest(),
    "data": "drawn by numpy.random.default_rng(1) in the program",
}
with open("arrays.json", "w") as out:
    json.dump({"source": source, "cases": cases}, out)
    out.write("\n")
