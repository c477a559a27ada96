#!/usr/bin/env bash
set -euo pipefail
# torch 2.13.0: load_state_dict(..., assign=True) of a model whose output layer shares the weight of its embedding
# makes two parameters of it that lie in the same memory. An optimizer then steps that memory twice at each step:
# under AdamW the weights move twice as far, decay twice, and parameters and moments are counted twice.
# One expects the model to stay tied, as without assign=True, or untied with two weights: this is neither.
# The state has both names after torch.save and torch.load too. Losses before the first step are equal, so a
# test that the checkpoint was read rightly passes, and a run that goes on from it learns by another rule.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat >"$work/tied.py" <<'PYTHON'
import io
import sys

import torch

torch.set_num_threads(1)
print("torch", torch.__version__)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(50, 8)
        self.head = torch.nn.Linear(8, 50, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, words):
        return self.head(self.embedding(words).tanh())


torch.manual_seed(1)
saved = io.BytesIO()
torch.save(Model().state_dict(), saved)
text = torch.randint(0, 50, (2_001,))


def trained(assign):
    saved.seek(0)
    model = Model()
    model.load_state_dict(torch.load(saved), assign=assign)
    before = model.embedding.weight.detach().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.0)
    losses = []
    for step in range(10):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(text[:-1]), text[1:])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step == 0:
            moved = (model.embedding.weight.detach() - before).abs().max().item()
    one_memory = model.embedding.weight.data_ptr() == model.head.weight.data_ptr()
    numbers = sum(weight.numel() for weight in model.parameters())
    print(
        f"assign={assign}: {numbers} numbers in {len(list(model.parameters()))} parameters, one memory: {one_memory}; "
        f"first loss {losses[0]:.4f}, the first step moves a weight by up to {moved:.4f}, tenth loss {losses[-1]:.4f}"
    )
    return numbers, one_memory, losses, moved


plain, assigned = trained(False), trained(True)
if plain[0] != 400 or abs(plain[3] - 0.01) > 1e-4 or plain[2][0] != assigned[2][0]:
    sys.exit("no longer so: the usual case differs too")
if assigned[0] != 800 or not assigned[1] or abs(assigned[3] - 0.02) > 1e-4 or plain[2][-1] == assigned[2][-1]:
    sys.exit("no longer so")
PYTHON
"$work/venv/bin/python" -W ignore "$work/tied.py"
