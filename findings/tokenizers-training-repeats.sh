#!/usr/bin/env bash
set -euo pipefail
# tokenizers 0.23.3: WordPieceTrainer and UnigramTrainer give another tokenizer each time, on the same
# lines, in one process or two, with one thread or many; only BpeTrainer repeats itself. WordPiece numbers
# the letters that continue a word in the order of a hash table, so nearly every sentence gets other ids.
# One expects the same bits, since nothing is sampled and there is no seed to give.
# Shards made with a tokenizer that was "trained again just as before" do not fit the model, which
# then trains or scores on noise, since the number of pieces and their names are the same.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check tokenizers==0.23.3

cd "$work"
RAYON_NUM_THREADS=1 venv/bin/python - <<'PYTHON'
import json
import sys
from pydoc_data.topics import topics
import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

print("tokenizers", tokenizers.__version__)
# English that comes with Python: its reference manual.
lines = [line for text in topics.values() for line in text.splitlines() if line.strip()]

def trained(kind):
    options = {"vocab_size": 800, "show_progress": False, "special_tokens": ["<unk>"]}
    if kind == "Unigram":
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(unk_token="<unk>", **options)
    else:
        tokenizer = Tokenizer(getattr(models, kind)(unk_token="<unk>"))
        name = {"WordPiece": "WordPieceTrainer", "BPE": "BpeTrainer"}[kind]
        trainer = getattr(trainers, name)(**options)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer

for kind, repeats in (("BPE", True), ("Unigram", False), ("WordPiece", False)):
    first, *others = [trained(kind) for _ in range(4)]
    equal = all(json.loads(first.to_str()) == json.loads(other.to_str()) for other in others)
    moved = max(
        sum(a.ids != b.ids for a, b in zip(first.encode_batch(lines), other.encode_batch(lines)))
        for other in others)
    print(f"{kind}: four trainings {'agree' if equal else 'differ'};"
          f" {moved} of {len(lines)} lines get other ids")
    if equal != repeats or (kind == "WordPiece" and moved < len(lines) // 2):
        sys.exit(f"no longer so: {kind}")
PYTHON
