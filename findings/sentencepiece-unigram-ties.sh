#!/usr/bin/env bash
set -euo pipefail
# One unigram tokenizer.model, two releases of sentencepiece: 0.2.3 cuts some sentences otherwise than 0.2.1.
# They are ties: the same pieces, so the same sum of scores, in another order (0 000 or 000 0, rows of dashes).
# The change came with 0.2.2; Debian 12 still has 0.1.97, which cuts as 0.2.1 does.
# One expects ids to be fixed by the model file, as its format has not changed.
# Shards written with one release and sentences scored with the other differ in places, and perplexities
# with them, in the digits that papers quote. Checks of one program against another fail on correct models.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 0.2.1 0.2.3; do
  python3 -m venv "$work/$version"
  "$work/$version/bin/pip" install -q --no-compile --disable-pip-version-check "sentencepiece==$version"
done

cd "$work"
cat >text.py <<'PYTHON'
# English that comes with Python: its reference manual.
from pydoc_data.topics import topics

lines = [line for text in topics.values() for line in text.splitlines() if line.strip()]
PYTHON
cat >encode.py <<'PYTHON'
import json
import sentencepiece
from text import lines

model = sentencepiece.SentencePieceProcessor(model_file="tokenizer.model")
name = f"{sentencepiece.__version__}.json"
json.dump([model.encode(line, out_type=str) for line in lines], open(name, "w"))
PYTHON
0.2.3/bin/python - <<'PYTHON'
import sentencepiece
from text import lines

sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(lines), model_prefix="tokenizer", vocab_size=1000, num_threads=1, minloglevel=2)
PYTHON
0.2.1/bin/python encode.py
0.2.3/bin/python encode.py
0.2.3/bin/python - <<'PYTHON'
import json
import sys

old, new = (json.load(open(f"{version}.json")) for version in ("0.2.1", "0.2.3"))
differ = [(a, b) for a, b in zip(old, new) if a != b]
ties = [(a, b) for a, b in differ if sorted(a) == sorted(b)]
print(f"sentencepiece 0.2.1 and 0.2.3: {len(differ)} of {len(old)} lines are cut otherwise,"
      f" {len(ties)} of them into the same pieces in another order")

def change(a, b):
    "The part of a line in which the cuts differ."
    places = [i for i in range(len(a)) if a[i] != b[i]]
    part = slice(places[0], places[-1] + 1)
    return f"{' '.join(a[part])} | {' '.join(b[part])}"

# The shortest, those with letters or digits first.
def order(text):
    return (not any(letter.isalnum() for letter in text), len(text), text)

for example in sorted({change(a, b) for a, b in ties}, key=order)[:5]:
    print(" ", example)
if not ties:
    sys.exit("no longer so: both cut every line alike")
PYTHON
