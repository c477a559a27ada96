#!/usr/bin/env bash
# Checks with the real thing what other programs are promised: softmax runs opened by transformers
# as Llama, Qwen2 and Qwen3, and those of every other attention by the Python files beside their weights (scores,
# generate, lm-evaluation-harness); exports by transformers and llama.cpp; Llama, Qwen2 and Qwen3 folders of
# transformers opened and trained on here, n-gram models read as KenLM reads them, shards read by numpy, weights by
# safetensors, the tokenizer by sentencepiece.
#
#   scripts/peers/check-interop.sh
#
# Needs release builds of lm-tokenize, lm-train, lm-eval and lm-sample, the program zstd, and Python
# with torch, transformers, sentencepiece, safetensors, numpy, lm_eval[hf], gguf, kenlm and xllamacpp (which
# brings llama.cpp): those of PYTHON if it is set, else they are installed into
# .build/interop-python (several GB).
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
bin=${BIN:-$(swift build -c release --show-bin-path)}
environment=$root/.build/interop-python
packages=(torch transformers sentencepiece safetensors numpy 'lm_eval[hf]' gguf kenlm xllamacpp)

usable() { "$1" -c 'import accelerate, gguf, kenlm, lm_eval, numpy, safetensors, sentencepiece, torch, transformers, xllamacpp' 2>/dev/null; }
if [[ -z ${PYTHON:-} ]]; then
  PYTHON=$environment/bin/python
  if ! usable "$PYTHON"; then
    python3 -m venv "$environment"
    "$environment/bin/pip" install -q --disable-pip-version-check "${packages[@]}"
  fi
fi
usable "$PYTHON" || {
  echo "check-interop: $PYTHON lacks one of the packages ${packages[*]}" >&2
  exit 1
}
export HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error TRANSFORMERS_NO_ADVISORY_WARNINGS=1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "check-interop: FAILED: $*" >&2
  exit 1
}
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }
interop() { "$PYTHON" scripts/reference/interop/checks.py "$@"; }
folders() { "$PYTHON" scripts/reference/interop/folders.py "$@"; }
attentions() { "$PYTHON" scripts/reference/interop/attentions.py "$@"; }
attentions versions

# This repository's own prose: thousands of words, and characters no tokenizer was shown.
cat docs/*.md docs/lab/*.md ./*.md | grep -v '▁' | grep . >"$work/text"
{
  sed -n '1~40p' "$work/text"
  printf '%s\n' '  two  spaces ' 'naïve café — 漢字 😀' 'a <s> b </s> <unk> <0x41>' '----------' 'aaa'
} >"$work/sentences"
prompt="The model"

greedy() { # greedy CHECKPOINT OPTIONS...: the text of 40 tokens
  local beginning
  # A small model ends some sentences at once.
  for beginning in "$prompt" "It is" "Memory of" "For every" "The"; do
    "$bin/lm-sample" --checkpoint "$1" --temperature 0 --max-tokens 40 --prompt "$beginning" \
      >"$work/greedy" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
    if (($(wc -c <"$work/greedy") > ${#beginning} + 20)); then break; fi
  done
  interop greedy "$1" "$beginning" "$work/greedy" 40 "${@:2}"
}
score() { # score CHECKPOINT OPTIONS...
  quietly "$bin/lm-eval" --checkpoint "$1" --text "$work/sentences" --score "$work/scores" \
    --per-token
  interop scores "$1" "$work/scores" "${@:2}"
}

harness() { # harness CHECKPOINT: after its score
  attentions harness "$1" "$work/scores" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
}

llama_cpp() { # llama_cpp CHECKPOINT: after its score
  quietly "$bin/lm-eval" export gguf --checkpoint "$1" --output "$work/model.gguf"
  "$PYTHON" scripts/reference/interop/gguf_files.py fields "$1" "$work/model.gguf"
  "$PYTHON" scripts/reference/interop/gguf_files.py scores "$1" "$work/model.gguf" "$work/scores" \
    2>"$work/log" || { cat "$work/log" >&2; exit 1; }
}
narrow() { # narrow CHECKPOINT: what is written in 16 bits has the same scores there
  for format in bf16 fp16; do
    folder=$work/$(basename "$(dirname "$1")")-$format
    quietly "$bin/lm-eval" export $format --checkpoint "$1" --output "$folder"
    score "$folder" --tokenizer --narrow
  done
}

# ---- our runs, opened there
for kind in unigram bpe; do
  quietly "$bin/lm-tokenize" --train "$work/text" --vocab-size 1000 --model-type "$kind" \
    --output "$work/$kind"
  head=--tied-head
  if [[ $kind == bpe ]]; then head=--no-tied-head; fi
  quietly "$bin/lm-train" --data "$work/$kind" --output "$work/run-$kind" --layers 2 --width 64 \
    --heads 4 --hidden 128 --steps 150 --batch-tokens 512 --rate 0.01 --warmup 10 $head
  step=$work/run-$kind/step-00000150
  score "$step" --tokenizer
  greedy "$step"
  harness "$step"
  llama_cpp "$step"
  narrow "$step"
done
# An n-gram model beside the last of them.
ngrams() { "$PYTHON" scripts/reference/interop/ngrams.py "$@"; }
ngrams make "$work/text" "$work/grams.arpa"
# Words that look like markers are markers to KenLM, and words to us.
grep -v '<s>' "$work/sentences" >"$work/unmarked"
"$bin/lm-eval" perplexity --checkpoint "$step" --text "$work/unmarked" --mix "$work/grams.arpa" --mix-weight 0.5 \
  --json >"$work/figures" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
ngrams compare "$work/grams.arpa" "$work/unmarked" "$work/figures"

# Queries and keys normalised: a Qwen3.
quietly "$bin/lm-train" --data "$work/unigram" --output "$work/run-qwen3" --layers 2 --width 64 \
  --heads 4 --hidden 128 --steps 150 --batch-tokens 512 --rate 0.01 --warmup 10 --qk-norm \
  --zero-init-residual
step=$work/run-qwen3/step-00000150
score "$step" --tokenizer
greedy "$step"
llama_cpp "$step"

# Heads that share keys, heads of another width, biases: Llama, Qwen2 and Qwen3.
headed() { # headed NAME OPTIONS...
  quietly "$bin/lm-train" --data "$work/unigram" --output "$work/run-$1" --layers 2 --width 64 \
    --heads 4 --hidden 128 --steps 150 --batch-tokens 512 --rate 0.01 --warmup 10 "${@:2}"
  step=$work/run-$1/step-00000150
  score "$step" --tokenizer
  greedy "$step"
  llama_cpp "$step"
}
headed shared --kv-heads 2
narrow "$step"
headed shared-wide --kv-heads 1 --head-dim 24 --no-tied-head
headed qwen2 --kv-heads 2 --qkv-bias
narrow "$step"
headed qwen2-wide --kv-heads 2 --qkv-bias --head-dim 24
headed qwen3-wide --kv-heads 2 --qk-norm --head-dim 24

# ---- every other attention, by the Python files beside the weights
other() { # other NAME OPTIONS...: a run, its scores, its text
  quietly "$bin/lm-train" --data "$work/unigram" --output "$work/run-$1" --layers 2 --width 64 \
    --heads 4 --hidden 128 --steps 150 --batch-tokens 512 --rate 0.01 --warmup 10 "${@:2}"
  step=$work/run-$1/step-00000150
  score "$step" --tokenizer
  attentions batch "$step" "$work/sentences"
}
# One more line, long enough for the far levels of a hierarchy.
cp "$work/sentences" "$work/short"
sed -n '200,215p' "$work/text" | tr '\n' ' ' >>"$work/sentences"
prompt="The model was trained on the first of the"
other bias --position relativeBias
greedy "$step"
other sines --position sinusoidal --no-tied-head
greedy "$step"
other grams --bigram-rows 500 --trigram-rows 3000
greedy "$step"
narrow "$step"
other clusters --cutoffs 200,600
greedy "$step"
narrow "$step"
other clusters-untied --cutoffs 100,101,500 --cluster-factor 2 --no-tied-head --bigram-rows 500
greedy "$step"
other hierarchical --attention hierarchical:blockSize=4
greedy "$step"
harness "$step"
narrow "$step"
other fine --attention hierarchical:blockSize=8,query=fine --position sinusoidal --qk-norm
greedy "$step"
other expectation --attention yoso:estimate=expectation
greedy "$step"
for estimate in sampled hybrid; do
  other $estimate --attention yoso:estimate=$estimate,hashes=8,bits=4,chunk=8
  greedy "$step" --seed 0
  harness "$step"
  "$bin/lm-eval" perplexity --checkpoint "$step" --text "$work/sentences" --json >"$work/report" \
    2>"$work/log" || { cat "$work/log" >&2; exit 1; }
  attentions draw "$step" "$work/scores" "$work/report"
done
for pattern in fixed rowmajor rowmajor,address=none rowmajor,address=proj logsparse \
  vertical,pooling=mean mixture; do
  other "${pattern//,/-}" --attention "combiner:pattern=$pattern,segment=8"
  greedy "$step"
done
harness "$step"
other window --attention window:window=16 --qk-norm
greedy "$step"
other normed-biases --kv-heads 2 --qk-norm --qkv-bias
greedy "$step"
other hierarchical-shared --attention hierarchical:blockSize=4 --kv-heads 2 --qkv-bias
greedy "$step"
other hybrid-shared --attention yoso:estimate=hybrid,hashes=8,bits=4,chunk=8 --kv-heads 1
greedy "$step" --seed 0
other proj-shared --attention combiner:pattern=rowmajor,address=proj,segment=8 --kv-heads 2 --head-dim 24
greedy "$step"
other window-shared --attention window:window=16 --kv-heads 2 --head-dim 20
greedy "$step"
mv "$work/short" "$work/sentences"
prompt="The model"

# ---- tokenizers with more than the usual markers
tokenizer() { # tokenizer NAME OPTIONS...: a run of a few steps on a tokenizer of its own
  quietly "$bin/lm-tokenize" --train "$work/text" --test "$work/sentences" --output "$work/$1" "${@:2}"
  quietly "$bin/lm-train" --data "$work/$1" --output "$work/run-$1" --layers 1 --width 32 --heads 2 \
    --hidden 64 --steps 2 --batch-tokens 256 --warmup 1
  step=$work/run-$1/$(<"$work/run-$1/latest")
}
own() { # own NAME OPTIONS...: a model of sentencepiece's own trainer
  "$PYTHON" - "$work/text" "$work/$1" "${@:2}" <<'PYTHON'
import sys, sentencepiece
text, prefix, *options = sys.argv[1:]
sentencepiece.SentencePieceTrainer.train(
    f"--input={text} --model_prefix={prefix} --vocab_size=600 --byte_fallback=true "
    "--normalization_rule_name=identity --remove_extra_whitespaces=false --minloglevel=3 "
    + " ".join(options))
PYTHON
}
tr -s ' ' '\n' <"$work/text" | sort | uniq -c | awk '$1 > 2 { print $2 }' >"$work/words"
for kind in unigram bpe; do
  tokenizer "plain-$kind" --vocab-size 600 --model-type "$kind"
  interop ids "$step" "$work/sentences" --data "$work/plain-$kind"
  tokenizer "words-$kind" --vocab-size 600 --model-type "$kind" --vocabulary "$work/words"
  interop ids "$step" "$work/text"
  own "pad-$kind" "--model_type=$kind" --pad_id=0 --bos_id=1 --eos_id=2 --unk_id=3 \
    '--control_symbols=<cls>,<sep>'
  tokenizer "pad-$kind" --tokenizer "$work/pad-$kind.model"
  interop ids "$step" "$work/text"
  own "names-$kind" "--model_type=$kind" '--bos_piece=<|bos|>' '--eos_piece=<|eos|>' \
    '--unk_piece=<|unk|>'
  tokenizer "names-$kind" --tokenizer "$work/names-$kind.model"
  printf '%s\n' 'see <|eos|> there' '<|bos|>' 'a <|unk|>' '<<|eos|>>' >>"$work/sentences"
  interop ids "$step" "$work/sentences"
  own "symbols-$kind" "--model_type=$kind" '--user_defined_symbols=<sep>,[INST]'
  tokenizer "symbols-$kind" --tokenizer "$work/symbols-$kind.model"
  interop refused "$step"
done

# ---- our runs, there and back: no tokenizer.model is left
for name in hierarchical hybrid rowmajor-address=proj; do
  step=$work/run-$name/step-00000150
  folders resave "$step" "$work/again-$name"
  for folder in "$step" "$work/again-$name"; do
    quietly "$bin/lm-eval" --checkpoint "$folder" --text "$work/sentences" --per-token \
      --score "$work/scores-$(basename "$folder" | cut -c 1-5)"
  done
  cmp "$work/scores-step-" "$work/scores-again" || fail "$name: other scores after save_pretrained"
  echo "interop: again-$name: the same scores after save_pretrained"
  cp "$step/tokenizer.model" "$work/again-$name"
  interop scores "$work/again-$name" "$work/scores-again" --tokenizer
done
for kind in unigram bpe; do
  for name in $kind words-$kind pad-$kind; do
    step=$work/run-$name/$(<"$work/run-$name/latest")
    folders resave "$step" "$work/again-$name"
    if [[ -e $work/again-$name/tokenizer.model ]]; then fail "tokenizer.model is still there"; fi
    for folder in "$step" "$work/again-$name"; do
      quietly "$bin/lm-eval" --checkpoint "$folder" --text "$work/sentences" --per-token \
        --score "$work/scores-$(basename "$folder" | cut -c 1-5)"
    done
    cmp "$work/scores-step-" "$work/scores-again" || fail "$name: other scores after save_pretrained"
    echo "interop: again-$name: the same scores without tokenizer.model"
  done
done

# ---- their folders, opened here
folder() { # folder NAME OPTIONS...
  folders make "$work/$1" "$work/unigram/tokenizer.model" "${@:2}"
}
folder llama-untied
score "$work/llama-untied"
greedy "$work/llama-untied"
folder llama-tied --tied
score "$work/llama-tied"
greedy "$work/llama-tied"
for head in tied untied; do
  folder "llama-shards-$head" --shards $([[ $head == tied ]] && echo --tied)
  [[ -e $work/llama-shards-$head/model.safetensors.index.json ]] || fail "there is one shard only"
  score "$work/llama-shards-$head" --narrow
  greedy "$work/llama-shards-$head"
done
for type in bfloat16 float16; do
  folder "llama-$type" --type "$type"
  score "$work/llama-$type" --narrow
  greedy "$work/llama-$type"
done
for kind in tied-other-head tied-equal-head tied-head-only buffers padded rope-scaling several-ends \
  swish; do
  folders vary "$work/llama-untied" "$work/llama-$kind" "$kind"
  score "$work/llama-$kind" --narrow
  greedy "$work/llama-$kind"
done
# Heads that share keys, heads of another width, biases; then trained on, and opened there again.
on() { # on NAME OPTIONS...
  folder "$@"
  score "$work/$1" --narrow
  greedy "$work/$1"
  quietly "$bin/lm-train" --data "$work/unigram" --output "$work/on-$1" --init-from "$work/$1" \
    --steps 3 --batch-tokens 512 --warmup 1
  step=$work/on-$1/step-00000003
  score "$step" --tokenizer
  interop same-class "$work/$1" "$step"
}
on llama-grouped --grouped
on llama-biases --grouped --biases --shards
on llama-wide --grouped --head-dim 20 --tied
on qwen2 --family Qwen2 --grouped
on qwen2-tied --family Qwen2 --grouped --tied --shards
on qwen3 --family Qwen3 --grouped --head-dim 16
on qwen3-tied --family Qwen3 --grouped --head-dim 8 --tied --shards
on qwen3-biases --family Qwen3 --grouped --head-dim 12 --biases --type bfloat16
folders bytes "$work/qwen2" "$work/qwen2-bytes" "$work/text"
for command in "$bin/lm-eval perplexity --text $work/sentences --checkpoint" \
  "$bin/lm-sample --checkpoint" \
  "$bin/lm-train --data $work/unigram --output $work/x --steps 1 --init-from"; do
  if $command "$work/qwen2-bytes" >"$work/log" 2>&1; then fail "a byte-level tokenizer was not refused"; fi
  grep -q 'byte-level BPE' "$work/log" || fail "$(<"$work/log")"
done
echo "interop: qwen2-bytes: refused: $(tail -n 1 "$work/log" | sed "s|$work/||g")"

# ---- shards, read by the lines in the documents
mkdir "$work/reader"
ln -s "$work/unigram" "$work/reader/data"
for document in README.md docs/formats.md; do
  (cd "$work/reader" && "$PYTHON" "$root/scripts/reference/interop/checks.py" snippet "$root/$document")
done
echo "check-interop: all of it holds"
