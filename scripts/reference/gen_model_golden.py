"""Writes golden vectors of small models of Hugging Face transformers.

    python gen_model_golden.py [--out DIR]      write DIR/*.json (default: golden_models)
    python gen_model_golden.py --check DIR      compute again and compare

Needs torch and transformers. One JSON file a model: `config`, as save_pretrained writes it, `ids` of
sequences that lie end to end, `starts` of each and their number, `nats` of the token that follows every
position (the last of a sequence is followed by token 2), and `gradients` of the mean of them by every
weight. Weights are not stored: element i, from 0, of the weight that is number t, from 0, in the order of the
names is

    s = sin((i + 1) 12.9898 + (t + 1) 78.233) 43758.5453,    r = 2 (s - floor(s)) - 1

in double precision, rounded; 0.4 r in matrices and biases, 1 + 0.4 r in gains. Bars of a reader in single
precision: 1e-4 for nats, 1e-3 of the largest entry for the gradient of each weight.
"""
import argparse
import glob
import json
import math
import os
import sys

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

SHAPE = dict(
    vocab_size=13, hidden_size=12, intermediate_size=14, num_hidden_layers=2, bos_token_id=1,
    eos_token_id=2, max_position_embeddings=64)
CONFIGS = {
    "llama-shared-keys": LlamaConfig(
        **SHAPE, num_attention_heads=6, num_key_value_heads=2, rms_norm_eps=3e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0}),
    "llama-biases": LlamaConfig(
        **SHAPE, num_attention_heads=3, attention_bias=True, tie_word_embeddings=True),
    "llama-wide-heads": LlamaConfig(
        **SHAPE, num_attention_heads=2, num_key_value_heads=1, head_dim=10),
    "qwen2": Qwen2Config(**SHAPE, num_attention_heads=3, num_key_value_heads=1),
    "qwen3": Qwen3Config(
        **SHAPE, num_attention_heads=4, num_key_value_heads=2, head_dim=8, tie_word_embeddings=True),
}
LENGTHS = (11, 1, 6)


def numbers(index, shape):
    count = math.prod(shape)
    found = []
    for i in range(count):
        s = math.sin((i + 1) * 12.9898 + (index + 1) * 78.233) * 43758.5453
        found.append(0.4 * (2 * (s - math.floor(s)) - 1))
    return torch.tensor(found, dtype=torch.float64).reshape(shape)


def compute(name):
    config = CONFIGS[name]
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    weights = dict(sorted(model.named_parameters()))
    with torch.no_grad():
        for index, (key, weight) in enumerate(weights.items()):
            drawn = numbers(index, weight.shape)
            weight.copy_(1 + drawn if key.endswith("norm.weight") else drawn)
    # Figures in double precision: what is left is the reader's own rounding.
    model = model.double()
    weights = dict(sorted(model.named_parameters()))
    ids, starts, parts = [], [0], []
    for number, length in enumerate(LENGTHS):
        row = [1] + [3 + (7 * place + 5 * number) % 10 for place in range(length - 1)]
        ids += row
        starts.append(len(ids))
        logits = model(torch.tensor([row])).logits[0]
        parts.append(torch.nn.functional.cross_entropy(
            logits, torch.tensor(row[1:] + [2]), reduction="none"))
    nats = torch.cat(parts)
    nats.mean().backward()
    def short(tensor):
        return [float(f"{x:.8g}") for x in tensor.detach().flatten().tolist()]

    stored = {k: v for k, v in json.loads(config.to_json_string()).items() if k != "transformers_version"}
    stored["architectures"] = [type(model).__name__]
    return dict(
        config=stored, ids=ids, starts=starts, nats=short(nats),
        gradients={key: short(weight.grad) for key, weight in weights.items()})


def compare(name, stored):
    found = compute(name)
    assert stored["ids"] == found["ids"] and stored["starts"] == found["starts"], name
    pairs = [("nats", stored["nats"], found["nats"])]
    assert stored["gradients"].keys() == found["gradients"].keys(), name
    pairs += [(key, stored["gradients"][key], found["gradients"][key]) for key in found["gradients"]]
    for key, a, b in pairs:
        size = max(abs(x) for x in b)
        assert len(a) == len(b) and max(abs(x - y) for x, y in zip(a, b)) <= 1e-6 * size, (name, key)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default="golden_models")
    parser.add_argument("--check")
    arguments = parser.parse_args()
    if arguments.check:
        paths = sorted(glob.glob(arguments.check + "/*.json"))
        names = [os.path.basename(path)[:-5] for path in paths]
        if sorted(names) != sorted(CONFIGS):
            sys.exit(f"{arguments.check} has {names}, expected {sorted(CONFIGS)}")
        for name, path in zip(names, paths):
            with open(path, encoding="utf-8") as file:
                compare(name, json.load(file))
        print(f"{len(names)} models as before")
        return
    os.makedirs(arguments.out, exist_ok=True)
    for name in CONFIGS:
        with open(f"{arguments.out}/{name}.json", "w", encoding="utf-8") as file:
            json.dump(compute(name), file, separators=(",", ":"))
            file.write("\n")


if __name__ == "__main__":
    main()
