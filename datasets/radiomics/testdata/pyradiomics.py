"""Features of small made regions by pyradiomics, as golden values: python pyradiomics.py

The regions come from a linear congruential generator, so that the test makes the same ones.
"""
import hashlib, json, logging, sys
import numpy as np
import radiomics, SimpleITK as sitk
from radiomics import featureextractor

radiomics.setVerbosity(logging.ERROR)


def made(seed, size, spacing):
    """A blob with holes and smooth texture; arrays z, y, x."""
    state = seed

    def draw():
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 11) / 2**53

    nx, ny, nz = size
    hu = np.zeros((nz, ny, nx))
    mask = np.zeros((nz, ny, nx), dtype=np.uint8)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                d = ((x - nx / 2 + 0.5) / (nx / 2 - 1.5)) ** 2 + ((y - ny / 2 + 0.5) / (ny / 2 - 1.5)) ** 2 + ((z - nz / 2 + 0.5) / (nz / 2 - 1.5)) ** 2
                hu[z, y, x] = np.floor(400 * draw() - 300 - 250 * d)
                if d + 0.35 * draw() < 1 and draw() > 0.02:
                    mask[z, y, x] = 1
    image, label = sitk.GetImageFromArray(hu), sitk.GetImageFromArray(mask)
    for i in image, label:
        i.SetSpacing(spacing)
    return image, label


cases = []
for seed, size, spacing, spacing_mm, sigmas in [
    (1, (14, 13, 11), (1.0, 1.0, 1.0), 0, []),
    (2, (12, 15, 9), (0.8, 0.8, 2.5), 0, []),
    (3, (30, 30, 30), (1.0, 1.0, 1.0), 0, [2.0]),
    (4, (40, 36, 16), (0.93, 0.93, 2.3), 2, []),
]:
    image, label = made(seed, size, spacing)
    settings = {"binWidth": 25}
    if spacing_mm:
        settings.update(resampledPixelSpacing=[spacing_mm] * 3, interpolator=sitk.sitkBSpline)
    e = featureextractor.RadiomicsFeatureExtractor(**settings)
    if sigmas:
        e.enableImageTypeByName("LoG", customArgs={"sigma": sigmas})
    got = e.execute(image, label)
    cases.append(dict(
        seed=seed, size=size, spacing=spacing, spacing_mm=spacing_mm, sigmas=sigmas,
        voxels=int(sitk.GetArrayFromImage(label).sum()),
        features={k: float(v) for k, v in got.items() if not k.startswith("diagnostics")},
    ))

json.dump(dict(
    source=dict(tool="pyradiomics", version=f"{radiomics.__version__} (numpy {np.__version__}, SimpleITK {sitk.Version_VersionString()})",
                command="python pyradiomics.py", program="pyradiomics.py", data="made by the program",
                program_md5=hashlib.md5(open(__file__, "rb").read()).hexdigest()),
    cases=cases), open("pyradiomics.json", "w"), indent=1)
