"""Golden values for Distance, Depth and Dilate. Run here: /usr/bin/python3 morphology.py (needs numpy, scipy)."""
import hashlib
import json
import platform

import numpy
import scipy
from scipy.ndimage import distance_transform_edt

cases = []


def case(name, inside, spacing, dilate, erode):
    """inside: bool array z, y, x; spacing: x, y, z in mm; dilate, erode: mm."""
    sampling = spacing[::-1]
    distance = distance_transform_edt(~inside, sampling=sampling)
    depth = distance_transform_edt(inside, sampling=sampling)
    cases.append({
        "name": name,
        "size": list(inside.shape[::-1]),
        "spacing": spacing,
        "mask": "".join("01"[int(v)] for v in inside.ravel()),
        "distance": [round(float(v), 9) for v in distance.ravel()],
        "depth": [round(float(v), 9) for v in depth.ravel()],
        "dilate_mm": dilate,
        "dilated": int((distance <= dilate).sum()),
        "erode_mm": erode,
        "eroded": int((depth > erode).sum()),
    })


spacing = [0.977, 0.977, 3.0]
z, y, x = numpy.indices((7, 13, 15))
p = numpy.stack([x, y, z], -1) * numpy.array(spacing)
ball = (((p - [7, 6, 9]) / [4.2, 3.4, 6.5]) ** 2).sum(-1) <= 1
case("an ellipsoid on thick slices", ball, spacing, 3.1, 1.5)
case("an ellipsoid with a hole", ball & ~(((p - [7, 6, 9]) ** 2).sum(-1) <= 2.2), spacing, 2.0, 1.0)
corner = numpy.zeros((4, 5, 6), bool)
corner[0, 0, 0] = True
case("one voxel in the corner", corner, [0.8, 1.7, 2.5], 4.2, 0.5)
case("all but that voxel", ~corner, [0.8, 1.7, 2.5], 1.0, 3.0)
draw = numpy.random.default_rng(9)
for share in [0.02, 0.3, 0.9]:
    case(f"noise, {share:.0%} inside", draw.random((6, 7, 9)) < share, [1.3, 0.7, 2.1], 1.45, 1.35)

program = "morphology.py"
source = {
    "tool": "scipy.ndimage.distance_transform_edt",
    "version": f"Python {platform.python_version()}, scipy {scipy.__version__}, numpy {numpy.__version__}",
    "command": "/usr/bin/python3 " + program,
    "program": program,
    "program_md5": hashlib.md5(open(program, "rb").read()).hexdigest(),
    "data": "ellipsoids and seeded noise made in the program; stored z, y, x; no distance lies within 1e-6 mm of dilate_mm or erode_mm",
}
for c in cases:
    assert min(abs(v - c["dilate_mm"]) for v in c["distance"]) > 1e-6
    assert min(abs(v - c["erode_mm"]) for v in c["depth"]) > 1e-6
with open("morphology.json", "w") as out:
    json.dump({"source": source, "cases": cases}, out, separators=(",", ":"))
    out.write("\n")
