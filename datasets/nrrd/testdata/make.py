"""Makes the NRRD files of this folder and golden.json (see README.md).

Positions in golden.json are x, y, z in mm, LPS, of voxel centres, as two programs
other than ours compute them, each with the value they read there.
"""
import json
import sys

import nrrd
import numpy as np
import SimpleITK

shape = (4, 3, 2)
x, y, z = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
hu = (-1000 + 100 * x + 10 * y + 7 * z).astype(np.int16)
a, b, c, d = 0.9, 0.3, -0.2, np.sqrt(1 - 0.81 - 0.09 - 0.04)
rotation = np.array([
    [a*a + b*b - c*c - d*d, 2*b*c - 2*a*d, 2*b*d + 2*a*c],
    [2*b*c + 2*a*d, a*a + c*c - b*b - d*d, 2*c*d - 2*a*b],
    [2*b*d - 2*a*c, 2*c*d + 2*a*b, a*a + d*d - b*b - c*c]])
spacing = np.array([0.977, 1.25, 3.0])

image = SimpleITK.GetImageFromArray(hu.transpose(2, 1, 0))
image.SetSpacing(spacing.tolist())
image.SetOrigin([-250.112, 17.5, -133.4])
image.SetDirection(rotation.flatten().tolist())
SimpleITK.WriteImage(image, "itk_gzip.nrrd", useCompression=True)
SimpleITK.WriteImage(SimpleITK.Cast(image, SimpleITK.sitkFloat32), "itk_detached.nhdr", useCompression=False)
mask = SimpleITK.Cast(image > -800, SimpleITK.sitkUInt8) * 255
SimpleITK.WriteImage(mask, "itk_mask.nrrd", useCompression=True)
# Right-anterior-superior, big-endian, with vectors of a left-handed lattice.
nrrd.write("pynrrd_ras_big.nrrd", hu.astype(">i2"), {
    "space": "right-anterior-superior", "endian": "big", "encoding": "raw", "kinds": ["domain"] * 3,
    "space directions": (rotation @ np.diag([1, 1, -1]) * spacing).T, "space origin": [250.112, -17.5, 42.125]})


def by_pynrrd(name):
    data, header = nrrd.read(name)
    sign = {"left-posterior-superior": [1, 1, 1], "right-anterior-superior": [-1, -1, 1]}[header["space"]]
    out = []
    for i in np.ndindex(data.shape):
        p = sign * (header["space origin"] + np.array(i) @ header["space directions"])
        out.append([round(float(v), 5) for v in (*p, data[i])])
    return out


def by_simpleitk(name):
    image = SimpleITK.ReadImage(name)
    out = []
    for i in np.ndindex(image.GetSize()):
        i = tuple(int(k) for k in i)
        out.append([round(float(v), 5) for v in (*image.TransformIndexToPhysicalPoint(i), image.GetPixel(i))])
    return out


files = []
for name in ["itk_gzip.nrrd", "itk_detached.nhdr", "itk_mask.nrrd", "pynrrd_ras_big.nrrd",
             "written.nrrd", "written_float.nhdr", "written_mask.nrrd"]:
    for reader, read in (("pynrrd", by_pynrrd), ("SimpleITK", by_simpleitk)):
        files.append({"file": name, "reader": reader, "voxels": read(name)})
source = f"make.py; pynrrd {nrrd.__version__}, SimpleITK {SimpleITK.Version.VersionString()}, numpy {np.__version__}, Python {sys.version.split()[0]}"
with open("golden.json", "w") as f:
    f.write('{"source": ' + json.dumps(source) + ', "files": [\n')
    f.write(",\n".join(json.dumps(e, separators=(",", ":")) for e in files) + "\n]}\n")
