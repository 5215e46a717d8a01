"""Golden values for CompareMasks. Run here: python overlap.py (needs numpy, scipy, MedPy, SimpleITK)."""
import hashlib
import json
import platform
from importlib.metadata import version

import numpy
import SimpleITK
from medpy.metric import binary


def ellipsoid(shape, centre, radius, spacing):
    z, y, x = numpy.indices(shape)
    p = numpy.stack([x, y, z], -1) * numpy.array(spacing)
    return (((p - centre) / radius) ** 2).sum(-1) <= 1


def case(name, a, b, spacing):
    """a, b: arrays z, y, x; spacing: x, y, z in mm."""
    sampling = spacing[::-1]
    images = []
    for m in (a, b):
        image = SimpleITK.GetImageFromArray(m.astype(numpy.uint8))
        image.SetSpacing(spacing)
        images.append(image)
    measure = SimpleITK.LabelOverlapMeasuresImageFilter()
    measure.Execute(*images)
    dice = binary.dc(a, b)
    assert abs(measure.GetDiceCoefficient() - dice) < 1e-12
    return {
        "name": name,
        "size": list(a.shape[::-1]),
        "spacing": spacing,
        "a": "".join("01"[int(v)] for v in a.ravel()),
        "b": "".join("01"[int(v)] for v in b.ravel()),
        "dice": dice,
        "jaccard": binary.jc(a, b),
        "itk_dice": measure.GetDiceCoefficient(),
        "itk_jaccard": measure.GetJaccardCoefficient(),
        "hd": binary.hd(a, b, sampling),
        "hd95": binary.hd95(a, b, sampling),
        "assd": binary.assd(a, b, sampling),
    }


cases = []
spacing = [0.977, 1.25, 3.0]
shape = (8, 14, 16)
big = ellipsoid(shape, [7, 8, 11], [5, 6, 8], spacing)
small = ellipsoid(shape, [8, 9, 9], [4, 4, 6], spacing)
cases.append(case("shifted ellipsoids, anisotropic", big, small, spacing))
cases.append(case("the same mask twice", big, big, spacing))
apart = numpy.zeros(shape, bool)
apart[0, 0, 0] = True
cases.append(case("a voxel in the corner against an ellipsoid", apart, small, spacing))
full = numpy.ones(shape, bool)
cases.append(case("the whole grid against an ellipsoid", full, small, [1.0, 1.0, 1.0]))
hollow = big & ~ellipsoid(shape, [7, 8, 11], [3, 3, 4], spacing)
cases.append(case("a hole in one of them", hollow, big, spacing))
draw = numpy.random.default_rng(4)
for n, share in enumerate([0.02, 0.3, 0.8]):
    a = draw.random((6, 7, 9)) < share
    b = draw.random((6, 7, 9)) < share
    cases.append(case(f"noise, {share:.0%} inside", a, b, [0.7, 2.1, 1.3]))

program = "overlap.py"
source = {
    "tool": "MedPy medpy.metric.binary dc, jc, hd, hd95, assd; SimpleITK LabelOverlapMeasuresImageFilter",
    "version": f"Python {platform.python_version()}, MedPy {version('MedPy')}, SimpleITK {version('SimpleITK')}, scipy {version('scipy')}, numpy {numpy.__version__}",
    "command": "python " + program,
    "program": program,
    "program_md5": hashlib.md5(open(program, "rb").read()).hexdigest(),
    "data": "ellipsoids and seeded noise made in the program; masks stored z, y, x",
}
with open("overlap.json", "w") as out:
    json.dump({"source": source, "cases": cases}, out, indent=1)
    out.write("\n")
