#!/usr/bin/env bash
set -euo pipefail
# nltk 3.9.1: an n-gram model's perplexity falls with the order for a reason that has nothing to do with the text.
# pad_both_ends puts n-1 times </s> after a sentence, and perplexity() counts all of them: a model of order 5 is
# asked for three </s> behind the first, which it knows for certain, and each is one more word in the
# denominator. With the recipe of nltk.lm's documentation the figure of order 5 is less than half of that over the
# words and one </s>, which KenLM, SRILM and the One Billion Word benchmark print.
# One expects one end a sentence. pad_sequence(..., pad_right=False) and one </s> by hand give the usual figure.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check nltk==3.9.1

cd "$work"
venv/bin/python - <<'PYTHON'
import math
import sys
from pydoc_data.topics import topics
import nltk
from nltk.lm import Vocabulary, WittenBellInterpolated
from nltk.lm.preprocessing import pad_both_ends, padded_everygram_pipeline
from nltk.util import ngrams

print("nltk", nltk.__version__)
# English that comes with Python: its reference manual.
lines = [line.split() for key in sorted(topics) for line in topics[key].splitlines() if line.strip()]
# Every tenth line is held back.
held, seen = lines[::10][:300], [line for i, line in enumerate(lines) if i % 10]
for order in (2, 3, 5):
    model = WittenBellInterpolated(order, vocabulary=Vocabulary(unk_cutoff=2))
    model.fit(*padded_everygram_pipeline(order, seen))
    grams = [gram for line in held for gram in ngrams(pad_both_ends(line, n=order), order)]
    printed = model.perplexity(grams)
    bits = -sum(math.log2(model.score(gram[-1], gram[:-1])) for gram in grams if gram[-2] != "</s>")
    units = sum(len(line) + 1 for line in held)
    usual = 2 ** (bits / units)
    free = [gram for gram in grams if gram[-2] == "</s>"]
    least = min((model.score(gram[-1], gram[:-1]) for gram in free), default=1)
    print(f"order {order}: {printed:.1f} printed, {usual:.1f} over the words and one </s>;"
          f" {len(free)} of {len(grams)} predictions are a </s> after </s>, each at {least:.3f} or more")
    if len(free) != (order - 2) * len(held) or least < 0.9 or (order == 5 and printed > usual / 2):
        sys.exit(f"no longer so: order {order}")
    if order == 2 and abs(printed - usual) > 1e-6 * usual:
        sys.exit("no longer so: order 2 was the usual figure")
PYTHON
