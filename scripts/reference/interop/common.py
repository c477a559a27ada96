"""What the checks of scripts/peers/check-interop.sh have in common."""

import os
import re
import sys

# score.py, whose reader of tokenizers some checks use.
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

TOKEN_BAR = 1e-4  # nats, absolute


def read_scores(path):
    """[(text, [log-probability of every token and </s>], the column they stand in)]."""
    rows = []
    for line in open(path, encoding="utf-8", newline="\n").read().rstrip("\n").split("\n")[1:]:
        *_, text, tokens = line.split("\t")
        escapes = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\"}
        text = re.sub(r"\\(.)", lambda match: escapes[match[1]], text)
        rows.append((text, [float(item.rsplit(":", 1)[1]) for item in tokens.split(" ")], tokens))
    return rows


def quiet():
    from transformers.utils import logging

    logging.disable_progress_bar()


def open_model(path, **options):
    import torch
    from transformers import AutoModelForCausalLM

    quiet()
    model = AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32, trust_remote_code=True, **options)
    return model.eval()


def open_tokenizer(path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(path, trust_remote_code=True)


def check(condition, problem):
    if not condition:
        sys.exit("interop: FAILED: " + problem)
