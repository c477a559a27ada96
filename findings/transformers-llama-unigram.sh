#!/usr/bin/env bash
set -euo pipefail
# transformers 5.24.0: a folder with config.json (llama) and a unigram tokenizer.model is opened rightly by
# AutoTokenizer. Add the usual tokenizer_config.json with "tokenizer_class": "LlamaTokenizer", and nearly
# every sentence gets other ids: the class runs the pieces as byte-pair merges.
# One expects the same ids, or a refusal of a model of another kind, as the kind is in the file; 4.57.6 gives
# the same ids with and without the line. (The few that differ in all cases are ties between equal segmentations.)
# Nothing is said, all ids are valid, and a text decodes to itself, so only the perplexity
# shows that the model reads sentences cut as it never saw them.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 4.57.6 5.24.0; do
  python3 -m venv "$work/$version"
  "$work/$version/bin/pip" install -q --no-compile --disable-pip-version-check \
    "transformers==$version" sentencepiece==0.2.3 protobuf==7.36.1
done
export HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=warning

cd "$work"
mkdir folder
echo '{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}' >folder/config.json
cat >text.py <<'PYTHON'
# English that comes with Python: its reference manual. Words with single spaces,
# so that there is nothing that normalization could tell apart.
from pydoc_data.topics import topics

lines = [" ".join(line.split()) for text in topics.values() for line in text.splitlines() if line.strip()]
PYTHON
5.24.0/bin/python - <<'PYTHON'
import sentencepiece
from text import lines

sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(lines[:2000]), model_prefix="folder/tokenizer", vocab_size=500,
    num_threads=1, minloglevel=2)
PYTHON
cat >compare.py <<'PYTHON'
# Says how many sentences have other ids than sentencepiece gives; prints the number last.
import sys
import sentencepiece
import transformers
from text import lines

model = sentencepiece.SentencePieceProcessor(model_file="folder/tokenizer.model")
tokenizer = transformers.AutoTokenizer.from_pretrained("folder")
sentences = lines[:500]
ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in sentences]
differ = sum(a != b for a, b in zip(ids, model.encode(sentences)))
print(f"transformers {transformers.__version__}, {sys.argv[1]}: {type(tokenizer).__name__},"
      f" {differ} of {len(sentences)} sentences have other ids")
print("  transformers ", *tokenizer.convert_ids_to_tokens(ids[0]))
print("  sentencepiece", *model.encode(sentences[0], out_type=str))
print(differ)
PYTHON
compare() { # compare VERSION WHAT: shows the comparison; the number in `differ`
  "$1/bin/python" compare.py "$2" >found 2>log || { cat log >&2; exit 1; }
  sed '$d' found
  differ=$(tail -n 1 found)
}
holds=yes
for config in none LlamaTokenizer; do
  if [[ $config != none ]]; then
    echo "{\"tokenizer_class\": \"$config\"}" >folder/tokenizer_config.json
  fi
  for version in 4.57.6 5.24.0; do
    compare $version "tokenizer_class $config"
    if [[ $version == 5.24.0 && $config != none ]]; then
      echo "said while opening it: $(grep -ciE 'unigram|bpe|merges' log || true) lines about the kind of model"
      if ((differ < 450)) || grep -qiE 'unigram|bpe|merges' log; then holds=no; fi
    elif ((differ > 10)); then
      holds=no
    fi
  done
done
if [[ $holds == no ]]; then
  echo "no longer so: the class does not change the ids, or other cases are wrong too" >&2
  exit 1
fi
