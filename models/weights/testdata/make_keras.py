"""Weight files of Keras 1.2.2, written by Keras 1.2.2 itself, and what it predicts with them. The network is the
study's architecture file scaled down; the weights are random. Run here, each in a process of its own:

    python -m venv env   # Python 3.6
    env/bin/pip install keras==1.2.2 tensorflow==1.4.1 theano==1.0.5 h5py==2.7.1 "numpy<1.17"
    KERAS_BACKEND=tensorflow env/bin/python make_keras.py tensorflow   # keras.h5, keras-model.h5
    KERAS_BACKEND=theano env/bin/python make_keras.py theano           # keras-theano.h5
    env-old/bin/python make_keras.py old                               # keras-old.h5: keras==1.0.3 with theano
"""
import hashlib
import json
import os
import platform
import sys

import numpy as np

backend = sys.argv[1]
if backend != "tensorflow":
    os.environ["KERAS_BACKEND"] = "theano"
    import theano.ifelse  # Keras uses it without importing it
import h5py
import keras
from keras import backend as K
from keras.layers import Activation, BatchNormalization, Convolution3D, Dense, Dropout, Flatten, MaxPooling3D
from keras.layers.advanced_activations import LeakyReLU
from keras.models import Sequential
from keras.regularizers import activity_l2

INPUT = 20
ORDER = "tf" if backend == "tensorflow" else "th"


def cubes(count):
    """Cubes [count, z, y, x] of 0..1, so that no file need hold them: a hash of the position, and a slope that runs
    along another axis in each cube. The sums are exact in float32."""
    i = np.arange(count * INPUT**3, dtype=np.uint64)
    noise = ((i * 2654435761 % 2**32) >> 16).astype(np.float32).reshape(count, INPUT, INPUT, INPUT) / np.float32(2**17)
    slope = np.stack([np.indices((INPUT,) * 3)[c % 3] for c in range(count)]).astype(np.float32) / np.float32(64)
    return noise + slope


def network():
    m = Sequential()
    axis = -1 if ORDER == "tf" else 1
    shape = (INPUT, INPUT, INPUT, 1) if ORDER == "tf" else (1, INPUT, INPUT, INPUT)
    for filters, kernel, pool in [(3, 5, False), (4, 3, True), (5, 3, False), (6, 2, True)]:
        first = {"input_shape": shape} if not m.layers else {}
        m.add(Convolution3D(filters, kernel, kernel, kernel, dim_ordering=ORDER, activity_regularizer=activity_l2(1e-5), **first))
        m.add(BatchNormalization(axis=axis, epsilon=1e-3, momentum=0.99))
        m.add(LeakyReLU(0.1))
        if pool:
            m.add(MaxPooling3D((2, 2, 2), strides=(2, 2, 2), dim_ordering=ORDER))
        m.add(Dropout(0.25))
    m.add(Flatten())
    for units in (8, 6):
        m.add(Dense(units, activity_regularizer=activity_l2(1e-5)))
        m.add(BatchNormalization(epsilon=1e-3, momentum=0.99))
        m.add(LeakyReLU(0.1))
        m.add(Dropout(0.5))
    m.add(Dense(2, activity_regularizer=activity_l2(1e-5)))
    m.add(BatchNormalization(epsilon=1e-3, momentum=0.99))
    m.add(Activation("softmax"))
    return m


def fill(m, seed):
    draw = np.random.RandomState(seed)
    for layer in m.layers:
        shapes = [w.shape for w in layer.get_weights()]
        if len(shapes) == 2:
            # Weights that do not add up to nothing, so that an axis turned round is seen.
            layer.set_weights([(draw.uniform(-0.6, 1, size=shapes[0]) * 1.5 / np.sqrt(np.prod(shapes[0]) / shapes[1][0])).astype("float32"),
                               draw.normal(size=shapes[1]).astype("float32") / 4])
        if len(shapes) == 4:
            n = shapes[0]
            layer.set_weights([v.astype("float32") for v in (
                draw.uniform(0.5, 1.5, size=n) * np.where(draw.uniform(size=n) < 0.25, -1, 1),  # gamma, some below zero
                draw.normal(size=n) / 2, draw.normal(size=n) / 4, draw.uniform(0.1, 2.5, size=n))])
    return m


def case(m, file):
    x = cubes(3)[..., None] if ORDER == "tf" else cubes(3)[:, None]
    learning = [K.learning_phase()] if m.uses_learning_phase else []
    logits, risk = K.function([m.input] + learning, [m.layers[-2].output, m.layers[-1].output])([x] + [0] * len(learning))
    return {"file": file, "logits": logits.tolist(), "probabilities": risk.tolist()}


cases = []
if backend == "tensorflow":
    m = fill(network(), 1)
    m.save_weights("keras.h5", overwrite=True)
    cases.append(case(m, "keras.h5"))
    m = fill(network(), 2)  # its layers' numbers go on from the first network's
    m.compile("adam", "categorical_crossentropy")
    m.save("keras-model.h5")
    cases.append(case(m, "keras-model.h5"))
else:
    file = "keras-theano.h5" if backend == "theano" else "keras-old.h5"
    m = fill(network(), 3)
    m.save_weights(file, overwrite=True)
    cases.append(case(m, file))

program = "make_keras.py"
library = __import__("tensorflow" if backend == "tensorflow" else "theano")
source = {
    "tool": "Keras with " + library.__name__,
    "version": "Python %s, Keras %s, %s %s, h5py %s, numpy %s" % (
        platform.python_version(), keras.__version__, library.__name__, library.__version__, h5py.__version__, np.__version__),
    "command": "KERAS_BACKEND=%s python %s %s" % (K.backend() if hasattr(K, "backend") else "theano", program, backend),
    "program": program,
    "program_md5": hashlib.md5(open(program, "rb").read()).hexdigest(),
    "data": "weights drawn by numpy.random.RandomState(seed), cubes from a hash of the position, both in the program",
}
with open("keras-%s.json" % backend, "w") as out:
    json.dump({"source": source, "cases": cases}, out, indent=1)
    out.write("\n")
for c in cases:
    print(c, file=sys.stderr)
