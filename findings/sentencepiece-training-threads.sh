#!/usr/bin/env bash
set -euo pipefail
# sentencepiece 0.2.3: the unigram trainer's option num_threads (16 if it is not given) is part of the
# result. Sums of expected counts are added up per thread in 32 bits, so other threads give other
# scores, pieces change places in the order of scores, and the same sentences get other ids.
# One expects threads to cost time only, and the manual says no more; two runs with the same number do agree.
# Somebody who trains a tokenizer "again" with num_threads set to the cores of another machine gets
# shards that do not fit the old model, though both have the same pieces.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check sentencepiece==0.2.3

cd "$work"
venv/bin/python - <<'PYTHON'
import io
import sys
from pydoc_data.topics import topics
import sentencepiece

print("sentencepiece", sentencepiece.__version__)
# English that comes with Python: its reference manual.
lines = [line for text in topics.values() for line in text.splitlines() if line.strip()]

def trained(**options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=1000, minloglevel=2, **options)
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())

def vocabulary(model):
    return [(model.id_to_piece(i), model.get_score(i)) for i in range(model.get_piece_size())]

usual, again = trained(), trained()
if vocabulary(usual) != vocabulary(again):
    sys.exit("no longer so: two trainings with the same threads differ")
print("two trainings with the default of 16 threads agree")
found = 0
for threads in (1, 2, 4, 8):
    other = trained(num_threads=threads)
    moved = sum(a != b for a, b in zip(usual.encode(lines), other.encode(lines)))
    found = max(found, moved)
    print(f"{threads} threads: scores {'equal' if vocabulary(other) == vocabulary(usual) else 'differ'},"
          f" {moved} of {len(lines)} lines get other ids")
if found == 0:
    sys.exit("no longer so: the number of threads does not matter")
PYTHON
