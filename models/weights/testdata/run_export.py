"""What ONNX Runtime makes of exported networks. From models/weights, in an environment with onnx and onnxruntime:

    HOUNSFIELD_EXPORTS=/tmp/exports go test -run TestExportRunsElsewhere .   # writes the files
    cd testdata && python run_export.py /tmp/exports
"""
import glob
import hashlib
import json
import os
import platform
import sys

import numpy as np
import onnx
import onnxruntime


def cubes(count, edge):
    """As in make_keras.py."""
    i = np.arange(count * edge**3, dtype=np.uint64)
    noise = ((i * 2654435761 % 2**32) >> 16).astype(np.float32).reshape(count, edge, edge, edge) / np.float32(2**17)
    slope = np.stack([np.indices((edge,) * 3)[c % 3] for c in range(count)]).astype(np.float32) / np.float32(64)
    return noise + slope


cases = []
for file in sorted(glob.glob(os.path.join(sys.argv[1], "*.onnx"))):
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    edge = session.get_inputs()[0].shape[1]
    outputs = {}
    for count in (1, 3):  # the batch axis is free; the same cube has the same risk in any batch
        outputs[count] = session.run(["risk", "network_risk", "logits"], {"cube": cubes(count, edge)})
    assert np.allclose(outputs[1][0][0], outputs[3][0][0], atol=1e-6)
    risk, each, logits = outputs[3]
    cases.append({"name": os.path.basename(file)[:-5], "sha256": hashlib.sha256(open(file, "rb").read()).hexdigest(),
                  "risk": risk.tolist(), "network_risk": each.tolist(), "logits": logits.tolist()})

program = "run_export.py"
source = {
    "tool": "ONNX Runtime, after onnx.checker",
    "version": f"Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}, numpy {np.__version__}",
    "command": "python run_export.py /tmp/exports",
    "program": program,
    "program_md5": hashlib.md5(open(program, "rb").read()).hexdigest(),
    "data": "networks drawn by weights_test.go, cubes from a hash of the position",
}
with open("export.json", "w") as out:
    json.dump({"source": source, "cases": cases}, out, indent=1)
    out.write("\n")
