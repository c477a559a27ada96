#!/usr/bin/env bash
set -euo pipefail
# torch 2.13.0: torch.distributions.Categorical(probs=...) gives no word less than 1.2e-7 (float32's epsilon): log_prob is
# -15.94 for every rarer one, entropy() is off likewise, and the loss has no gradient there. Categorical(logits=...) of
# the same distribution is right. In bfloat16 the floor is 0.0078, so all but the commonest words share -4.85.
# One expects both ways to say the same, up to rounding, as 1e-9 is an ordinary number in float32.
# With a vocabulary of hundreds of thousands of words many probabilities are smaller. A perplexity by log_prob is then
# too good, silently, and the worse the model, the more flattering; what is at the floor is never learned.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat >"$work/floor.py" <<'PYTHON'
import math
import sys

import torch
from torch.distributions import Categorical

torch.manual_seed(1)
print("torch", torch.__version__)
# As many words as the One Billion Word benchmark has; a test text in which all occur equally often.
words = torch.arange(793_471)


def seen(scale):
    logits = (scale * torch.randn(len(words))).requires_grad_()
    rarest = logits.argmin()
    truth = math.exp(-logits.detach().double().log_softmax(0).mean())
    found = {}
    for way in ("logits", "probs"):
        given = {"logits": logits} if way == "logits" else {"probs": logits.softmax(0)}
        distribution = Categorical(**given)
        (gradient,) = torch.autograd.grad(distribution.log_prob(rarest), logits)
        with torch.no_grad():
            logs = Categorical(**given).log_prob(words)
        found[way] = math.exp(-logs.double().mean()), logs.min().item(), gradient[rarest].item()
        print(
            f"logits of deviation {scale}, {way}: perplexity {found[way][0]:.4g}, truth {truth:.4g}; the rarest word has "
            f"{found[way][1]:.2f} nats, and {found[way][2]:.2g} for the gradient of its own logit"
        )
    return truth, found


# Small vocabularies and even distributions hide it.
even = Categorical(probs=torch.randn(1_000).softmax(0))
if not torch.allclose(even.log_prob(words[:1_000]), even.probs.log(), atol=1e-4):
    sys.exit("no longer so: a thousand words are wrong too")
for scale in (1.0, 3.0):
    truth, found = seen(scale)
    if abs(found["logits"][0] / truth - 1) > 1e-3 or abs(found["logits"][2] - 1) > 1e-3:
        sys.exit("no longer so: logits are wrong too")
    if found["probs"][0] > 0.995 * truth or abs(found["probs"][1] + 15.94) > 0.01 or found["probs"][2] > 1e-3:
        sys.exit("no longer so: there is no floor")
coarse = Categorical(probs=torch.tensor([0.5, 0.499, 0.001], dtype=torch.bfloat16)).log_prob(torch.tensor(2)).item()
print(f"bfloat16: a probability of 0.001 has {coarse:.2f} nats, truth {math.log(0.001):.2f}")
if abs(coarse + 4.85) > 0.02:
    sys.exit("no longer so: bfloat16")
PYTHON
"$work/venv/bin/python" -W ignore "$work/floor.py"
