"""Makes the NIfTI files of this folder and golden.json (see README.md).

Positions in golden.json are x, y, z in mm, LPS, of voxel centres, as two programs
other than ours compute them, each with the value they read there.
"""
import json
import sys

import nibabel
import numpy as np
import SimpleITK

shape = (4, 3, 2)
x, y, z = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
hu = (-1000 + 100 * x + 10 * y + 7 * z).astype(np.int16)

# A rotation about no axis of the patient, from a quaternion.
a, b, c, d = 0.9, 0.3, -0.2, np.sqrt(1 - 0.81 - 0.09 - 0.04)
rotation = np.array([
    [a*a + b*b - c*c - d*d, 2*b*c - 2*a*d, 2*b*d + 2*a*c],
    [2*b*c + 2*a*d, a*a + c*c - b*b - d*d, 2*c*d - 2*a*b],
    [2*b*d - 2*a*c, 2*c*d + 2*a*b, a*a + d*d - b*b - c*c]])
spacing = np.array([0.977, 1.25, 3.0])


def affine(direction):
    m = np.eye(4)
    m[:3, :3] = direction * spacing
    m[:3, 3] = [250.112, -17.5, 42.125]
    return m


def save(name, data, sform=None, qform=None, scale=None, big=False):
    header = nibabel.Nifti1Header(endianness=">" if big else "<")
    header.set_data_dtype(data.dtype)
    image = nibabel.Nifti1Image(data, None, header)
    image.header.set_data_shape(data.shape)
    image.set_sform(sform, code=0 if sform is None else 1)
    image.set_qform(qform, code=0 if qform is None else 1)
    image.header.set_zooms(spacing)
    image.header.set_xyzt_units("mm")
    if scale is None:
        nibabel.save(image, name)
        return
    image.header.set_slope_inter(*scale)  # the numbers stored are data, as they are
    with nibabel.openers.Opener(name, "wb") as f:
        image.header["magic"] = b"n+1"
        image.header["vox_offset"] = 352
        image.header.write_to(f)
        f.write(np.asarray(data, image.header.get_data_dtype()).tobytes(order="F"))


save("sform_oblique.nii.gz", hu, sform=affine(rotation))
save("qform_lefthanded_big.nii", hu.astype(np.float32) + 0.25, qform=affine(rotation @ np.diag([1, 1, -1])), big=True)
save("scaled.nii", (hu + 1000).astype(np.uint16), sform=affine(np.eye(3)), qform=affine(np.eye(3)), scale=(2.0, -1024.0))
mask = ((x + 2 * y + z) % 3 == 0).astype(np.uint8) * 255
save("mask.nii.gz", mask, sform=affine(np.diag([-1.0, -1, 1])))
feet = SimpleITK.GetImageFromArray(hu.transpose(2, 1, 0))
feet.SetSpacing(spacing.tolist())
feet.SetOrigin([-20.5, 30.25, -133.4])
feet.SetDirection([-1, 0, 0, 0, 1, 0, 0, 0, -1])
SimpleITK.WriteImage(feet, "feet_first.nii.gz")


def by_nibabel(name):
    image = nibabel.load(name)
    data = image.get_fdata()
    out = []
    for i in np.ndindex(data.shape):
        ras = image.affine @ np.array([*i, 1.0])
        out.append([round(float(v), 5) for v in (-ras[0], -ras[1], ras[2], data[i])])
    return out


def by_simpleitk(name):
    image = SimpleITK.ReadImage(name)
    out = []
    for i in np.ndindex(image.GetSize()):
        i = tuple(int(k) for k in i)
        out.append([round(float(v), 5) for v in (*image.TransformIndexToPhysicalPoint(i), image.GetPixel(i))])
    return out


files = []
for name in ["sform_oblique.nii.gz", "qform_lefthanded_big.nii", "scaled.nii", "mask.nii.gz", "feet_first.nii.gz",
             "written_int16.nii", "written_float32.nii", "written_mask.nii"]:
    for reader, read in (("nibabel", by_nibabel), ("SimpleITK", by_simpleitk)):
        files.append({"file": name, "reader": reader, "voxels": read(name)})
source = f"make.py; nibabel {nibabel.__version__}, SimpleITK {SimpleITK.Version.VersionString()}, numpy {np.__version__}, Python {sys.version.split()[0]}"
with open("golden.json", "w") as f:
    f.write('{"source": ' + json.dumps(source) + ', "files": [\n')
    f.write(",\n".join(json.dumps(e, separators=(",", ":")) for e in files) + "\n]}\n")
