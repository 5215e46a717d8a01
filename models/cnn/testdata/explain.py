"""Golden values for what a network looks at, from PyTorch in float64. Run here: /usr/bin/python3 explain.py

A tiny network (see Spec in explain_test.go): 9^3 voxels -> conv 3^3, 3 channels -> pool 2 -> conv 2^3, 4 channels ->
dense 5 -> 2 logits, or 4 of the hazard in intervals that end after 200, 500, 900 and 1500 days. All numbers, the cube too, come
from draw(), so that the file holds results only. Guided backpropagation is done by hooks, with the leaky slope below zero.
"""
import hashlib
import json
import platform

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
SLOPE, EPSILON, ENDS, HORIZON, STEPS = 0.1, 1e-3, [200.0, 500.0, 900.0, 1500.0], 730.0, 7
state = 0


def draw(n, low, high):
    """n numbers from low to high by a linear congruential generator."""
    global state
    out = []
    for _ in range(n):
        state = (1103515245 * state + 12345) % 2**31
        out.append(low + (high - low) * state / 2**31)
    return torch.tensor(out)


class Guide(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return F.leaky_relu(x, SLOPE)

    @staticmethod
    def backward(ctx, v):
        (x,) = ctx.saved_tensors
        return v.clamp(min=0) * torch.where(x > 0, 1.0, SLOPE)


class Net:
    def __init__(self, outputs):
        self.layers = []
        for dims in [(3, 1, 3, 3, 3), (4, 3, 2, 2, 2), (5, 32), (outputs, 5)]:
            n = 1
            for d in dims:
                n *= d
            layer = {"weights": draw(n, -1, 1).reshape(dims)}
            for name, low, high in [("bias", -1, 1), ("scale", 0.5, 1.5), ("offset", -0.5, 0.5), ("mean", -1, 1), ("variance", 0.5, 2)]:
                layer[name] = draw(dims[0], low, high)
            self.layers.append(layer)

    def linear(self, i, x):
        p = self.layers[i]
        y = F.conv3d(x, p["weights"], p["bias"]) if x.dim() == 5 else F.linear(x, p["weights"], p["bias"])
        return F.batch_norm(y, p["mean"], p["variance"], p["scale"], p["offset"], False, 0.0, EPSILON)

    def log_odds(self, x, guided=False):
        """The log-odds of the score, and what leaves both convolutions."""
        act = Guide.apply if guided else (lambda v: F.leaky_relu(v, SLOPE))
        first = act(self.linear(0, x))
        second = act(self.linear(1, F.max_pool3d(first, 2)))
        flat = second.permute(0, 2, 3, 4, 1).reshape(len(x), -1)  # depth, height, width, channel
        z = self.linear(3, act(self.linear(2, flat)))
        if z.shape[1] == 2:
            return z[:, 0] - z[:, 1], first, second
        h, start = 0, 0.0
        for j, end in enumerate(ENDS):
            h = h + min(max((HORIZON - start) / (end - start), 0), 1) * F.softplus(z[:, j])
            start = end
        return torch.log(torch.expm1(h)), first, second


def digits(x):
    return [float(f"{v:.8g}") for v in x.detach().flatten().tolist()]


cases = []
for outputs in (2, len(ENDS)):
    state = outputs
    net = Net(outputs)
    cube = draw(9**3, 0, 1).reshape(1, 1, 9, 9, 9)
    baseline = torch.full_like(cube, 0.2)
    x = cube.clone().requires_grad_()
    y, first, second = net.log_odds(x)
    case = {"outputs": outputs, "steps": STEPS, "baseline": 0.2, "log_odds": y.item()}
    slopes, *of_layers = torch.autograd.grad(y.sum(), [x, first, second])
    case["slopes"] = digits(slopes)
    for name, a, g in [("conv1", first, of_layers[0]), ("conv2", second, of_layers[1])]:
        case[name] = digits((g.mean(dim=(2, 3, 4), keepdim=True) * a).sum(dim=1))
    y, _, _ = net.log_odds(x, guided=True)
    case["guided"] = digits(torch.autograd.grad(y.sum(), x)[0])
    way = torch.stack([baseline[0] + (k + 0.5) / STEPS * (cube[0] - baseline[0]) for k in range(STEPS)]).requires_grad_()
    total = torch.autograd.grad(net.log_odds(way)[0].sum(), way)[0].sum(dim=0) / STEPS * (cube[0] - baseline[0])
    case["integrated"] = digits(total)
    case["change"] = (net.log_odds(cube)[0] - net.log_odds(baseline)[0]).item()
    cases.append(case)

with open("explain.py", "rb") as program:
    md5 = hashlib.md5(program.read()).hexdigest()
source = {"tool": "torch.autograd", "version": f"Python {platform.python_version()}, PyTorch {torch.__version__}",
          "command": "/usr/bin/python3 explain.py", "program": "explain.py", "program_md5": md5, "data": "drawn by draw() in the program"}
with open("explain.json", "w") as out:
    json.dump({"source": source, "cases": cases}, out)
    out.write("\n")
