"""The study's network, scaled down and with random weights, as the usual converters write it to ONNX, and what ONNX
Runtime answers. Run here, each in an environment of its own:

    python make_onnx.py keras2onnx   # Python 3.7: tensorflow==1.15.5 keras==2.3.1 keras2onnx==1.7.0 h5py==2.10 "protobuf<3.21" onnxruntime
    python make_onnx.py tf2onnx      # Python 3.11: tensorflow-cpu tf_keras tf2onnx onnxruntime; also writes keras2.h5
    python make_onnx.py torch        # torch onnx onnxruntime
"""
import hashlib
import json
import os
import platform
import sys

import numpy as np
import onnxruntime

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_USE_LEGACY_KERAS"] = "1"
tool = sys.argv[1]
INPUT = 20
CONVS = [(3, 5, False), (4, 3, True), (5, 3, False), (6, 2, True)]  # filters, kernel, pool after it
UNITS = [8, 6, 2]


def cubes(count):
    """As in make_keras.py."""
    i = np.arange(count * INPUT**3, dtype=np.uint64)
    noise = ((i * 2654435761 % 2**32) >> 16).astype(np.float32).reshape(count, INPUT, INPUT, INPUT) / np.float32(2**17)
    slope = np.stack([np.indices((INPUT,) * 3)[c % 3] for c in range(count)]).astype(np.float32) / np.float32(64)
    return noise + slope


def weights(seed):
    """For each layer its weights [k, k, k, in, out] or [in, out], bias, gamma, beta, mean, variance."""
    draw = np.random.RandomState(seed)
    shapes, channels = [], 1
    for filters, kernel, _ in CONVS:
        shapes.append((kernel, kernel, kernel, channels, filters))
        channels = filters
    for i, o in zip([48] + UNITS, UNITS):
        shapes.append((i, o))
    return [[v.astype("float32") for v in (
        draw.uniform(-0.6, 1, size=s) * 1.5 / np.sqrt(np.prod(s) / s[-1]), draw.normal(size=s[-1]) / 4,
        draw.uniform(0.5, 1.5, size=s[-1]) * np.where(draw.uniform(size=s[-1]) < 0.25, -1, 1), draw.normal(size=s[-1]) / 2,
        draw.normal(size=s[-1]) / 4, draw.uniform(0.1, 2.5, size=s[-1]))] for s in shapes]


def keras_model(K, seed):
    L = K.layers
    m = K.models.Sequential()
    for n, (filters, kernel, pool) in enumerate(CONVS):
        first = {"input_shape": (INPUT, INPUT, INPUT, 1)} if n == 0 else {}
        m.add(L.Conv3D(filters, kernel, **first))
        m.add(L.BatchNormalization(epsilon=1e-3, momentum=0.99))
        m.add(L.LeakyReLU(0.1))
        if pool:
            m.add(L.MaxPooling3D(2, strides=2))
        m.add(L.Dropout(0.25))
    m.add(L.Flatten())
    for n, units in enumerate(UNITS):
        m.add(L.Dense(units))
        m.add(L.BatchNormalization(epsilon=1e-3, momentum=0.99))
        if n < 2:
            m.add(L.LeakyReLU(0.1))
            m.add(L.Dropout(0.5))
    m.add(L.Activation("softmax"))
    holders = [layer for layer in m.layers if layer.get_weights()]
    for n, w in enumerate(weights(seed)):
        holders[2 * n].set_weights(w[:2])
        holders[2 * n + 1].set_weights(w[2:])
    return m


def torch_model(seed):
    import torch
    from torch import nn

    layers, w = [], weights(seed)
    channels = 1
    for n, (filters, kernel, pool) in enumerate(CONVS):
        layers += [nn.Conv3d(channels, filters, kernel), nn.BatchNorm3d(filters, eps=1e-3), nn.LeakyReLU(0.1)]
        channels = filters
        if pool:
            layers += [nn.MaxPool3d(2)]
        layers += [nn.Dropout(0.25)]
    layers += [nn.Flatten()]
    for n, (i, o) in enumerate(zip([48] + UNITS, UNITS)):
        layers += [nn.Linear(i, o), nn.BatchNorm1d(o, eps=1e-3)]
        if n < 2:
            layers += [nn.LeakyReLU(0.1), nn.Dropout(0.5)]
    m = nn.Sequential(*layers, nn.Softmax(1)).eval()
    holders = [layer for layer in m if list(layer.parameters())]
    with torch.no_grad():
        for n, values in enumerate(w):
            linear, norm = holders[2 * n], holders[2 * n + 1]
            kernel = torch.from_numpy(values[0])
            linear.weight.copy_(kernel.permute(4, 3, 0, 1, 2) if kernel.dim() == 5 else kernel.T)
            for to, v in zip([linear.bias, norm.weight, norm.bias, norm.running_mean, norm.running_var], values[1:]):
                to.copy_(torch.from_numpy(v))
    return m


def case(file, x, **more):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (p,) = session.run(None, {session.get_inputs()[0].name: x})
    return dict(file=file, probabilities=p.tolist(), **more)


cases = []
if tool == "keras2onnx":
    import keras
    import keras2onnx
    import onnx
    import tensorflow

    m = keras_model(keras, 14)
    onnx.save(keras2onnx.convert_keras(m, "network"), "keras2onnx.onnx")
    cases.append(case("keras2onnx.onnx", cubes(3)[..., None]))
    libraries = [keras, keras2onnx, tensorflow]
elif tool == "tf2onnx":
    import tensorflow
    import tf2onnx
    import tf_keras

    m = keras_model(tf_keras, 16)
    signature = [tensorflow.TensorSpec((None, INPUT, INPUT, INPUT, 1), tensorflow.float32, name="cube")]
    tf2onnx.convert.from_keras(m, signature, opset=13, output_path="tf2onnx.onnx")
    cases.append(case("tf2onnx.onnx", cubes(3)[..., None]))
    m.save_weights("keras2.h5")
    cases.append({"file": "keras2.h5", "probabilities": m.predict(cubes(3)[..., None]).tolist()})
    libraries = [tensorflow, tf_keras, tf2onnx]
else:
    import onnx
    import torch

    for file, seed, folding, training in [("torch-folded.onnx", 15, True, torch.onnx.TrainingMode.EVAL),
                                          ("torch.onnx", 13, False, torch.onnx.TrainingMode.PRESERVE)]:
        m = torch_model(seed)
        x = torch.from_numpy(cubes(3)[:, None])
        torch.onnx.export(m, x, file, input_names=["cube"], opset_version=13, do_constant_folding=folding, training=training,
                          dynamic_axes={"cube": {0: "batch"}}, **({"dynamo": False} if torch.__version__ >= "2.5" else {}))
        cases.append(case(file, x.numpy()))
    libraries = [torch, onnx]

program = "make_onnx.py"
source = {
    "tool": tool + " for the files, ONNX Runtime for the answers",
    "version": ", ".join(["Python " + platform.python_version()] + [l.__name__ + " " + l.__version__ for l in libraries + [onnxruntime, np]]),
    "command": "python %s %s" % (program, tool),
    "program": program,
    "program_md5": hashlib.md5(open(program, "rb").read()).hexdigest(),
    "data": "weights drawn by numpy.random.RandomState(seed), cubes from a hash of the position, both in the program",
}
with open("onnx-%s.json" % tool, "w") as out:
    json.dump({"source": source, "cases": cases}, out, indent=1)
    out.write("\n")
for c in cases:
    print(c, file=sys.stderr)
