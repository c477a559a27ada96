#!/usr/bin/env bash
set -euo pipefail
# torch 2.13.0: AdamW of weights in bfloat16 keeps its second moment in bfloat16 too, and with the usual beta2 of 0.999 it
# never falls: 0.999 of a number is rounded back to that number. After one gradient of 10 among ten thousand
# of 0.01, steps are 30 times too small, and stay so; in float32 the large one is forgotten after a few thousand steps.
# One expects an average that forgets, only coarser. beta2 of 0.95 does forget. With foreach and fused it is the same.
# Nothing is said and the loss falls, only ever more slowly: each weight's step is set by the largest gradients it ever
# had (the first steps, one bad batch). Weights that are loaded in a checkpoint's own bfloat16 are trained like this.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat >"$work/steps.py" <<'PYTHON'
import sys

import torch

torch.set_num_threads(1)
print("torch", torch.__version__)


def last_step(dtype, beta2, **how):
    """The second moment and the step, as a part of the learning rate, long after one large gradient."""
    weight = torch.nn.Parameter(torch.zeros(1, dtype=dtype))
    optimizer = torch.optim.AdamW([weight], lr=1e-3, betas=(0.9, beta2), weight_decay=0.0, **how)
    for gradient in [10.0] + [0.01] * 10_000:
        with torch.no_grad():
            weight.zero_()
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
    return optimizer.state[weight]["exp_avg_sq"].item(), -weight.item() / 1e-3


for beta2 in (0.999, 0.95):
    for dtype in (torch.float32, torch.bfloat16):
        for how in ({"foreach": False}, {"foreach": True}, {"fused": True}):
            square, step = last_step(dtype, beta2, **how)
            print(
                f"{dtype}, beta2 {beta2}, {how}: after 10000 gradients of 0.01 the second moment is {square:.2g} "
                f"and a step {step:.2f} of the learning rate"
            )
            if (step < 0.1) != (dtype == torch.bfloat16 and beta2 == 0.999) or (step >= 0.1 and not 0.8 < step < 1.2):
                sys.exit("no longer so")
PYTHON
"$work/venv/bin/python" -W ignore "$work/steps.py"
