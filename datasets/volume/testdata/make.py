"""Makes resample.json: a made scan and mask resampled by SimpleITK.

    python3 -m venv /tmp/v && /tmp/v/bin/pip install SimpleITK==2.5.7
    cd datasets/volume/testdata && /tmp/v/bin/python make.py

Grids are size, origin, spacing, direction as in volume.Grid. The scan's value at
voxel x, y, z is (7919 x + 104729 y + 1299709 z) mod 4096 - 1024; the mask holds the
voxels whose value is even. Outside the scan the value is -1024, outside the mask 0.
"""
import json
import sys

import numpy as np
import SimpleITK

oblique = [0.64, -0.48, 0.6, 0.6, 0.8, 0, -0.48, 0.36, 0.8]
identity = [1, 0, 0, 0, 1, 0, 0, 0, 1]
feet_first = [-1, 0, 0, 0, 1, 0, 0, 0, -1]
origin, spacing = [-31.5, 17.25, -133.4], [0.977, 1.25, 3.0]
size = [7, 5, 4]


def grid(size, origin, spacing, direction):
    return {"Size": size, "Origin": origin, "Spacing": spacing, "Direction": direction}


cases = [
    # The isotropic grids: floor((n-1) spacing / mm) + 1 samples from the first centre.
    (grid(size, origin, spacing, identity), grid([6, 6, 10], origin, [1, 1, 1], identity)),
    (grid(size, origin, spacing, oblique), grid([6, 6, 10], origin, [1, 1, 1], oblique)),
    # Shifted beyond the scan; other directions.
    (grid(size, origin, spacing, feet_first), grid([7, 7, 6], [-30.7, 15.6, -132.1], [1.3, 1.3, 2.1], feet_first)),
    (grid(size, origin, spacing, feet_first), grid([6, 6, 6], [-40.1, 16.3, -140.7], [1.7, 1.1, 1.9], identity)),
    (grid(size, origin, spacing, identity), grid([7, 6, 6], [-32.3, 16.9, -131.2], [1.7, 1.1, 1.9], oblique)),
]
out = []
for scan, to in cases:
    x, y, z = np.meshgrid(*[np.arange(n) for n in scan["Size"]], indexing="ij")
    hu = ((7919 * x + 104729 * y + 1299709 * z) % 4096 - 1024).transpose(2, 1, 0)

    def image(array):
        im = SimpleITK.GetImageFromArray(array)
        im.SetOrigin(scan["Origin"])
        im.SetSpacing(scan["Spacing"])
        im.SetDirection([float(d) for d in scan["Direction"]])
        return im

    def resample(im, how, outside):
        return SimpleITK.GetArrayFromImage(SimpleITK.Resample(
            im, to["Size"], SimpleITK.Transform(), how, to["Origin"], [float(s) for s in to["Spacing"]],
            [float(d) for d in to["Direction"]], outside, im.GetPixelID())).flatten()

    linear = resample(image(hu.astype(np.float64)), SimpleITK.sitkLinear, -1024.0)
    nearest = resample(image((hu % 2 == 0).astype(np.uint8)), SimpleITK.sitkNearestNeighbor, 0)
    assert (linear != -1024).sum() > 20 and nearest.sum() > 10
    out.append({"Scan": scan, "To": to, "HU": [round(float(v), 4) for v in linear], "Mask": "".join(map(str, nearest))})
source = f"make.py; SimpleITK {SimpleITK.Version.VersionString()}, numpy {np.__version__}, Python {sys.version.split()[0]}"
with open("resample.json", "w") as f:
    f.write('{"source": ' + json.dumps(source) + ', "cases": [\n')
    f.write(",\n".join(json.dumps(c, separators=(",", ":")) for c in out) + "\n]}\n")
