#!/usr/bin/env bash
set -euo pipefail
# lm_eval 0.4.13 (the evaluation harness of EleutherAI): word_perplexity counts words as len(re.split(r"\s+", document)), so a
# space or newline at an end of a document is a word more, with no probability to it. The same sentence scored
# with the same total has another word perplexity with its newline, and a third one as WikiText writes lines,
# with a space before and one after: here 2.718, 2.399 and 2.177 for a model that gives every word one nat.
# One expects the words alone to count, as str.split() has them. The shorter the documents the more it
# matters: with a sentence a document it makes up or hides a tenth, and two figures from this harness are of one
# kind only if their texts were stripped alike. The task wikitext counts so too, once a page.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check lm_eval==0.4.13

cd "$work"
HF_HOME=$work HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 venv/bin/python - 2>log <<'PYTHON' || { cat log >&2; exit 1; }
import json
import math
import sys
from importlib.metadata import version
import lm_eval
from lm_eval.api.model import LM

class OneNatAWord(LM):
    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        return [-float(len(request.args[0].split())) for request in requests]

    def loglikelihood(self, requests):
        raise NotImplementedError

    def generate_until(self, requests):
        raise NotImplementedError

print("lm_eval", version("lm_eval"))
sentence = "The cat sat on the mat ."
words = len(sentence.split())
texts = {"bare": sentence, "with its newline": sentence + "\n", "as in WikiText": f" {sentence} \n"}
for extra, (name, text) in enumerate(texts.items()):
    with open(f"{extra}.jsonl", "w") as file:
        for _ in range(5):
            print(json.dumps({"text": text}), file=file)
    task = {
        "task": f"sentences{extra}", "dataset_path": "json", "test_split": "test",
        "dataset_kwargs": {"data_files": {"test": f"{extra}.jsonl"}},
        "output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{text}}",
        "metric_list": [{"metric": "word_perplexity"}]}
    results = lm_eval.simple_evaluate(model=OneNatAWord(), tasks=[task], bootstrap_iters=0)
    found = results["results"][task["task"]]["word_perplexity,none"]
    print(f"{name}: {found:.4f}, as of {words + extra} words for {words}")
    if abs(found - math.exp(words / (words + extra))) > 1e-9:
        sys.exit(f"no longer so: {name}")
PYTHON
