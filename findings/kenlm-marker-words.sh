#!/usr/bin/env bash
set -euo pipefail
# kenlm 0.3.0: a word of the scored text that happens to be spelled <s> is given 10^-99, the placeholder that
# ARPA files have for the beginning of a sentence; one that is spelled </s> is given the probability that the sentence
# ends there, and the sentence goes on. Neither is counted as unknown, and nothing is said.
# One expects an unknown word, or a refusal: lmplz, which makes these files, stops at such a word in its training
# text and names --skip_symbols. Raw text has them (<s> is a tag of HTML): a single one adds 228 nats, as much as
# some thirty words, and moves the perplexity of a thousand words by a quarter.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check kenlm==0.3.0
cat >"$work/small.arpa" <<'ARPA'
\data\
ngram 1=6
ngram 2=2

\1-grams:
-99	<s>	-0.3
-1.5	<unk>
-0.5	</s>
-0.75	the	-0.25
-1	price	-0.25
-1.25	was

\2-grams:
-0.25	<s> the
-0.5	the price

\end\
ARPA
"$work/venv/bin/python" - "$work/small.arpa" 2>/dev/null <<'PYTHON'
import importlib.metadata, sys, kenlm

model = kenlm.Model(sys.argv[1])
print("kenlm", importlib.metadata.version("kenlm"))
found = {}
for word in ("cost", "<s>", "</s>"):
    scores = list(model.full_scores(f"the price was {word}"))
    found[word] = (round(scores[3][0], 4), scores[3][2])
    print(f"the price was {word:5}  log10 {scores[3][0]:8.3f}, unknown: {scores[3][2]}; "
          f"perplexity {model.perplexity(f'the price was {word}'):.3g}")
if found != {"cost": (-1.5, True), "<s>": (-99.0, False), "</s>": (-0.5, False)}:
    sys.exit(f"no longer so: {found}")
PYTHON
