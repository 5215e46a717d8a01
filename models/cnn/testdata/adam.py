"""Golden values for the optimiser from PyTorch. Run here: /usr/bin/python3 adam.py

Each step's gradient is given: that of the sum of variable times gradient. clip_grad_norm_ divides by norm + 1e-6, the Go
code by the norm, hence the norms far above 1.
"""
import hashlib
import json
import platform

import torch

torch.set_default_dtype(torch.float64)
cases = []
for name, seed, decay, clip, factor, rates in [
    ("plain", 1, 0.0, 0.0, 1.0, [0.01] * 6),
    ("weight decay on weights", 2, 0.1, 0.0, 1.0, [0.01] * 6),
    ("clipped", 3, 0.0, 2e4, 1.0, [0.01] * 6),
    ("everything, with a changing rate and half of it for the bias", 4, 0.05, 1e4, 0.5, [0.01, 0.02, 0.02, 0.01, 0.005, 0.001]),
]:
    torch.manual_seed(seed)
    weights, bias = torch.randn(3, 4), torch.randn(4)
    steps = [(1e4 * torch.randn(3, 4), 1e4 * torch.randn(4)) for _ in rates]
    case = {"name": name, "decay": decay, "clip": clip, "bias_factor": factor, "rates": rates,
            "weights": weights.flatten().tolist(), "bias": bias.tolist(),
            "weight_gradients": [w.flatten().tolist() for w, _ in steps], "bias_gradients": [b.tolist() for _, b in steps]}
    weights.requires_grad_(), bias.requires_grad_()
    optimiser = torch.optim.AdamW([{"params": [weights], "weight_decay": decay}, {"params": [bias], "weight_decay": 0.0}], eps=1e-7)
    for rate, (w, b) in zip(rates, steps):
        optimiser.param_groups[0]["lr"], optimiser.param_groups[1]["lr"] = rate, rate * factor
        weights.grad, bias.grad = w.clone(), b.clone()
        if clip:
            torch.nn.utils.clip_grad_norm_([weights, bias], clip)
        optimiser.step()
    case["weights_after"], case["bias_after"] = weights.flatten().tolist(), bias.tolist()
    cases.append(case)

with open("adam.py", "rb") as program:
    md5 = hashlib.md5(program.read()).hexdigest()
source = {"tool": "torch.optim.AdamW, torch.nn.utils.clip_grad_norm_", "version": f"Python {platform.python_version()}, PyTorch {torch.__version__}",
          "command": "/usr/bin/python3 adam.py", "program": "adam.py", "program_md5": md5, "data": "drawn by torch.randn in the program"}
with open("adam.json", "w") as out:
    json.dump({"source": source, "cases": cases}, out, indent=1)
    out.write("\n")
