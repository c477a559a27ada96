"""Repeats the figures of `lm-bench twin` in PyTorch from the same checkpoint.

    python torch_twin.py CHECKPOINT TWIN_FILE [SCORE_FILE]

A softmax run with rotary positions is opened by Hugging Face `transformers` as it is
(a Llama, a Qwen2 or a Qwen3, by `AutoModelForCausalLM.from_pretrained`); every other model by the dense decoder below, whose attention
is written from the definition (an L x L matrix per head) and differentiated by autograd. Compared:
logits (largest absolute difference), gradients (largest difference over the largest entry, per
weight), the losses of AdamW steps (relative), and, with SCORE_FILE (`lm-eval score --per-token`
is not needed), the nats of every scored sentence. Exits with 1 if a bar is missed.
"""
import json
import math
import re
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

BARS = dict(logits=1e-4, nats=1e-5, gradients=1e-3, losses=5e-3)


class DenseDecoder(torch.nn.Module):
    """The decoder from its definition; parameters under their names in the checkpoint."""

    def __init__(self, path):
        super().__init__()
        with open(f"{path}/config.json") as fh:
            self.c = json.load(fh)
        weights = load_file(f"{path}/model.safetensors")
        self.names = list(weights)
        self.w = torch.nn.ParameterList([torch.nn.Parameter(weights[n]) for n in self.names])

    def named(self):
        return dict(zip(self.names, self.w))

    def attention(self, p, layer, x):
        c = self.c
        L, H = x.shape[0], c["num_attention_heads"]
        name = f"model.layers.{layer}.self_attn."

        def project(y, s):
            return F.linear(y, p[name + f"{s}_proj.weight"], p.get(name + f"{s}_proj.bias"))

        q, k, v = (project(x, s).view(L, -1, c["head_dim"]).transpose(0, 1) for s in "qkv")
        if c.get("qk_norm"):
            q, k = norm(q, p[name + "q_norm.weight"], c), norm(k, p[name + "k_norm.weight"], c)
        if c["position"] == "rotary":
            q, k = rotate(q, c["rope_theta"]), rotate(k, c["rope_theta"])
        # Heads of keys and values, each as often as heads of queries share it.
        k, v = (t.repeat_interleave(H // len(t), 0) for t in (k, v))
        bias = p.get(name + "relative_bias")
        scores = dense_scores(q, k, bias, c["attention"])
        o = torch.softmax(scores, -1) @ v
        return project(o.transpose(0, 1).reshape(L, -1), "o")

    def forward(self, ids):
        c, p = self.c, self.named()
        x = F.embedding(ids, p["model.embed_tokens.weight"])
        if c["position"] == "sinusoidal":
            x = x + 2**0.5 * c["initializer_range"] * sinusoids(*x.shape, x.dtype)
        for layer in range(c["num_hidden_layers"]):
            name = f"model.layers.{layer}."
            x = x + self.attention(p, layer, norm(x, p[name + "input_layernorm.weight"], c))
            h = norm(x, p[name + "post_attention_layernorm.weight"], c)
            gate = F.silu(F.linear(h, p[name + "mlp.gate_proj.weight"]))
            x = x + F.linear(gate * F.linear(h, p[name + "mlp.up_proj.weight"]),
                             p[name + "mlp.down_proj.weight"])
        head = p.get("lm_head.weight", p["model.embed_tokens.weight"])
        return F.linear(norm(x, p["model.norm.weight"], c), head)


def norm(x, gain, c):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + c["rms_norm_eps"]) * gain


def rotate(x, theta):
    H, L, D = x.shape
    f = theta ** (-torch.arange(0, D, 2, dtype=torch.float64) / D)
    a = torch.arange(L, dtype=torch.float64)[:, None] * f
    cos, sin = a.cos().to(x.dtype), a.sin().to(x.dtype)
    a, b = x[..., :D // 2], x[..., D // 2:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def sinusoids(L, C, dtype):
    half = C // 2
    f = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    a = torch.arange(L, dtype=torch.float64)[:, None] * f
    return F.pad(torch.cat((a.sin(), a.cos()), 1), (0, C - 2 * half)).to(dtype)


def dense_scores(q, k, bias, attention):
    """[H, L, L] logits of one sequence; -inf above the diagonal."""
    H, L, D = q.shape
    i, j = torch.arange(L)[:, None], torch.arange(L)[None, :]
    future = j > i
    if attention["kind"] == "softmax":
        s = q @ k.transpose(1, 2) / math.sqrt(D)
        if bias is not None:
            s = s + bias[:, (i - j).clamp(0, bias.shape[1] - 1)]
        return s.masked_fill(future, -math.inf)
    if attention["kind"] != "hierarchical":
        sys.exit(f"torch_twin.py has no {attention['kind']} attention; it compares softmax and hierarchical runs")
    n = attention["blockSize"]
    fine = attention["query"] == "fine"
    level = torch.zeros(L, L, dtype=torch.long)
    for step in range(1, 40):
        apart = ((i // n) >> (step - 1)) - ((j // n) >> (step - 1)) > 1
        level = torch.where(apart, torch.full_like(level, step), level)
        if not bool((apart & ~future).any()):
            break
    s = torch.full((H, L, L), -math.inf, dtype=q.dtype)
    for l in range(int(level.masked_fill(future, 0).max()) + 1):
        full = (L >> l) << l
        means = k[:, :full].reshape(H, full >> l, 1 << l, D).mean(2)
        row = torch.arange(L) if fine else (torch.arange(L) >> l) << l
        logits = q[:, row] @ means.transpose(1, 2) / math.sqrt(D)
        group = (torch.arange(L) >> l).clamp(max=max(0, (full >> l) - 1))
        value = logits[:, :, group]
        if bias is not None:
            distance = ((i >> l) - (j >> l)).clamp(0, bias.shape[1] - 1)
            value = value + bias[:, distance]
        s = torch.where(((level == l) & ~future)[None], value, s)
    return s


def open_model(path):
    with open(f"{path}/config.json") as fh:
        config = json.load(fh)
    if config["model_type"] in ("llama", "qwen2", "qwen3"):
        from transformers import AutoModelForCausalLM
        hf = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32,
                                                  attn_implementation="eager")
        return f"transformers {type(hf).__name__}", hf, lambda ids: hf(ids[None]).logits[0], {
            n: p for n, p in hf.named_parameters()}
    own = DenseDecoder(path)
    return "dense decoder", own, own, own.named()


def main():
    path, twin = sys.argv[1], load_file(sys.argv[2])
    torch.manual_seed(0)
    torch.set_num_threads(2)
    kind, module, logits_of, parameters = open_model(path)
    ids, targets = twin["ids"][0].long(), twin["targets"][0].long()
    starts = [int(s) for s in twin["starts"][0]]
    spans = list(zip(starts, starts[1:]))
    print(f"{path}: {kind}, {len(spans)} sentences, {len(ids)} positions")
    failed = []

    def bar(name, value):
        ok = value <= BARS[name]
        print(f"{name:10s} {value:.2e}  bar {BARS[name]:g}  {'ok' if ok else 'MISSED'}")
        if not ok:
            failed.append(name)

    def loss_sum():
        return sum(F.cross_entropy(logits_of(ids[a:b]), targets[a:b], reduction="sum")
                   for a, b in spans)

    with torch.no_grad():
        mine = torch.cat([logits_of(ids[a:b]) for a, b in spans])
    bar("logits", float((mine - twin["logits"]).abs().max()))
    loss = loss_sum() / len(ids)
    loss.backward()
    worst = 0.0
    for name, parameter in parameters.items():
        theirs = twin["gradient." + name].view(parameter.shape)
        scale = float(parameter.grad.abs().max())
        worst = max(worst, float((parameter.grad - theirs).abs().max()) / max(scale, 1e-12))
    bar("gradients", worst)

    decayed = [p for n, p in parameters.items() if p.dim() > 1 and "relative_bias" not in n]
    rest = [p for n, p in parameters.items() if p.dim() == 1 or "relative_bias" in n]
    optimizer = torch.optim.AdamW(
        [dict(params=decayed, weight_decay=0.1), dict(params=rest, weight_decay=0.0)],
        lr=float(twin["rate"]), betas=(0.9, 0.95), eps=1e-8)
    worst = 0.0
    last = 0.0
    for theirs in twin["losses"][0]:
        optimizer.zero_grad()
        loss = loss_sum() / len(ids)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(parameters.values()), 1.0)
        optimizer.step()
        last = float(loss.detach())
        worst = max(worst, abs(last - float(theirs)) / float(theirs))
    print(f"           last loss {last:.5f} here, {float(twin['losses'][0][-1]):.5f} there")
    bar("losses", worst)
    if len(sys.argv) > 3:
        compare_scores(path, sys.argv[3], bar)
    sys.exit(1 if failed else 0)


def unescaped(text):
    """The text behind the escapes of a score file."""
    letters = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\"}
    return re.sub(r"\\(.)", lambda match: letters[match[1]], text)


def compare_scores(path, score_file, bar):
    """Nats of the sentences of `lm-eval score --per-token`: nats, tokens, words, text, tokens, tab separated.

    Releases of sentencepiece cut ties otherwise: the tokens that were scored, which must spell the text, are compared.
    """
    import sentencepiece

    from score import Tokenizer

    _, _, logits_of, _ = open_model(path)
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=f"{path}/tokenizer.model")
    own = Tokenizer(f"{path}/tokenizer.model")
    ours = theirs = 0.0
    count = 0
    with open(score_file, encoding="utf-8", newline="\n") as fh, torch.no_grad():
        for line in fh:
            if line.startswith("#"):
                continue
            nats, tokens, _, text, column = line.rstrip("\n").split("\t")
            text = unescaped(text)
            tokens_here, is_spelled = own.stored(column, text)
            assert is_spelled and len(tokens_here) == int(tokens), (text, column)
            ids = torch.tensor([tokenizer.bos_id()] + tokens_here)
            targets = torch.tensor(tokens_here + [tokenizer.eos_id()])
            theirs += float(F.cross_entropy(logits_of(ids), targets, reduction="sum"))
            ours += float(nats)
            count += 1
    print(f"           {count} sentences: {ours:.6f} nats by lm-eval, {theirs:.6f} here")
    bar("nats", abs(ours - theirs) / theirs)


if __name__ == "__main__":
    main()
