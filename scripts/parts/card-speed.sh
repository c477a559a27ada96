# Parts of check-gpu.sh, which has their words: what must be fast on a card, beside PyTorch and the
# reference kernels in the same run.

declare -a peers=()
reference=""

# Compiles what is measured later, while other parts run.
prepare_peers() {
  local name
  if [[ -n $python && -f $here/peer/training.py ]] && has speed; then
    for name in i-flex i-varlen; do
      mkfifo "$work/go-$name"
      # Open for reading and writing, so that nobody waits for the other side.
      exec {channel}<>"$work/go-$name"
      printf -v "channel_${name//-/_}" '%s' "$channel"
      (cd "$here/peer" && exec env TORCHINDUCTOR_COMPILE_THREADS=4 OMP_NUM_THREADS=4 timeout --foreground "$allowed" \
        "$python" -u training.py --record "$work/$name.jsonl" --worker "$name" "${tiny[@]}") \
        <"$work/go-$name" >"$work/$name.log" 2>&1 &
      peers+=($!)
      printf -v "process_${name//-/_}" '%s' "$!"
    done
  fi
  if [[ -f $here/reference/cuda/h_attention.so ]]; then
    reference=$here/reference/cuda/h_attention.so
  elif [[ -f $here/reference/cuda/h_attention.cu ]] && has attention && command -v nvcc >/dev/null; then
    reference=$work/h_attention.so
    nvcc -std=c++17 -O3 -gencode=arch=compute_90a,code=sm_90a -shared -Xcompiler -fPIC -o "$reference" \
      "$here/reference/cuda/h_attention.cu" >"$work/nvcc.log" 2>&1 &
    peers+=($!)
  fi
}

# peer NAME: lets a prepared worker of PyTorch measure; leaves its best row in peer_rate, peer_bytes.
peer() {
  local channel=channel_${1//-/_} process=process_${1//-/_} waited=0
  while kill -0 "${!process}" 2>/dev/null && ! grep -q '^=READY=' "$work/$1.log" && ((waited++ < 900 * slow)); do
    sleep 0.1
  done
  echo GO >&"${!channel}"
  waited=0
  # What it has recorded counts, even if it does not end.
  while kill -0 "${!process}" 2>/dev/null && ((waited++ < 300 * slow)); do sleep 0.1; done
  read_peer "$work/$1.jsonl"
}
read_peer() { # read_peer RECORD: the fastest row of real sentences
  local line
  line=$(grep '"name": "i sentences, packed' "$1" 2>/dev/null | grep -v '"error"' | while read -r line; do
    echo "$(field tokens_per_second <<<"$line") $(field peak_GB <<<"$line")"
  done | sort -g | tail -n 1)
  read -r peer_rate peer_bytes <<<"$line" || true
  [[ -n ${peer_rate:-} ]]
}
# Memory of the card that anybody uses, in MiB; nothing where no nvidia-smi is.
used() { nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits 2>/dev/null | head -n 1 || true; }

# Training on the sentences of news, dropout off, beside PyTorch with the same decoder.
speed_part() {
  local speed before most=60 best=0 best_bytes=0 planned peak name ratio tokens
  # PyTorch's head has 32,000 rows.
  tokens=$(field vocabularySize <"$news/manifest.json")
  if [[ -n $python && ${#peers[@]} -gt 0 && -f $here/peer/training.py ]]; then
    for name in i-flex i-varlen; do
      if peer "$name"; then
        row "  PyTorch, 6 x 512, $name" "$(printf '%.0f' "$peer_rate") tokens/s" "" \
          "peak $(printf '%.1f' "$peer_bytes") GB"
        if compares "$peer_rate" ">" "$best"; then best=$peer_rate best_bytes=$peer_bytes; fi
      else
        row "  PyTorch, 6 x 512, $name" "" "" "not measured: $(last_line "$work/$name.log")"
      fi
    done
  else
    row "  PyTorch, 6 x 512" "" "" "not measured: no PyTorch, or no peer in this bundle"
  fi
  before=$(used)
  (while used; do sleep 0.2; done >"$work/used") &
  local watching=$!
  if from=$news train speed "$device" "$((steps < 60 ? steps : 60))" "${large[@]}" --dropout 0 --log-every 5; then
    speed=$(rate speed)
    ratio=$(awk -v a="$speed" -v b="$best" 'BEGIN { printf "%.2f", (b > 0 ? a / b : 0) }')
    row "training, 6 x 512, sentences, vocabulary of $tokens" "$speed tokens/s" ">= 1.3 x PyTorch" \
      "$(if compares "$best" ">" 0; then verdict 'compares "$ratio" ">=" 1.3'; else echo "no peer"; fi) ($ratio x)"
    row "  share of the card's measured product" "$(grep -o '[0-9]* % of peak' "$work/speed.log" | tail -n 1)" "" ""
    { kill -- "-$watching" && wait "$watching"; } 2>/dev/null || true
    planned=$("$bin/lm-train" --data "$news" --device "$device" "${large[@]}" --dropout 0 --dry-run --json 2>/dev/null |
      awk -F: '/"(parameter|activation|working)Bytes"/ { gsub(/[ ,]/, "", $2); sum += $2 } END { printf "%.2f", sum / 1e9 }')
    peak=$(sort -n "$work/used" | tail -n 1)
    if [[ -n $peak && -n $before ]]; then
      peak=$(awk -v a="$peak" -v b="$before" 'BEGIN { printf "%.2f", (a - b) * 1048576 / 1e9 }')
      ratio=$(awk -v a="$peak" -v b="$best_bytes" 'BEGIN { printf "%.2f", (b > 0 ? a / b : a / 10.2) }')
      row "peak memory of that step, context included" "$peak GB" "<= 0.6 x PyTorch" \
        "$(verdict 'compares "$ratio" "<=" 0.6') ($ratio x$(compares "$best_bytes" ">" 0 || echo " 10.2 GB"))"
    else
      row "peak memory of that step" "" "<= 0.6 x PyTorch" "not measured: no nvidia-smi"
    fi
    row "  memory that --dry-run names" "$planned GB" "" ""
  else
    row "training, 6 x 512" "" ">= 1.3 x PyTorch" "FAILED $(last_line "$work/speed.log")"
    { kill -- "-$watching" && wait "$watching"; } 2>/dev/null || true
  fi
  rm -rf "$work/speed"
}

# The presets with hierarchical attention.
shape_part() { # shape_part PRESET
  local speed bar=1900000 most=60
  if [[ -z $1 ]]; then return; fi
  if [[ $1 == h1d-144m ]]; then bar=850000; fi
  if from=$news train "shape-$1" "$device" 40 --preset "$1" --batch-tokens 65536 --micro-batch-tokens 65536 \
    --dropout 0 --log-every 5; then
    speed=$(rate "shape-$1")
    row "training, $1, hierarchical" "$speed tokens/s" ">= $bar" \
      "$(verdict 'compares "$speed" ">=" "$bar"') ($(grep -o '[0-9]* % of peak' "$work/shape-$1.log" | tail -n 1))"
  else
    row "training, $1, hierarchical" "" ">= $bar" "FAILED $(last_line "$work/shape-$1.log")"
  fi
  # The smaller one is scored later.
  if [[ $1 != h1d-53m ]]; then rm -rf "$work/shape-$1"; fi
}

# One layer of hierarchical attention beside the reference kernels, forward and backward.
attention_part() {
  local shape ours theirs="" bar ratio json forward
  for shape in sentences "4 x $length"; do
    bar=0.5 json=$work/attention-${shape%% *}.json
    local words=(--lengths "$positions" --sentences)
    if [[ $shape != sentences ]]; then bar=0.75 words=(--lengths "$length" --batch 4); fi
    if ! within 40 "$bin/lm-bench" attention --device "$device" --precision bfloat16 --rounds "$rounds" \
      --attention hierarchical "${words[@]}" --json >"$json" 2>"$work/attention.log"; then
      row "hierarchical attention, $shape" "" "<= $bar x reference" "FAILED $(last_line "$work/attention.log")"
      continue
    fi
    ours=$(milliseconds trainingMicroseconds <"$json") forward=$(milliseconds forwardMicroseconds <"$json")
    theirs=""
    if [[ -n $reference && -f $reference && -n $python ]]; then
      theirs=$(cd "$here/reference" && within 30 "$python" time_h_attention.py --library "$reference" --kernels cuda \
        --shape "$json" 2>"$work/reference.log" || true)
    fi
    ratio=$(awk -v a="$ours" -v b="${theirs:-0}" 'BEGIN { printf "%.2f", (b > 0 ? a / b : 0) }')
    row "hierarchical attention, $(field length <"$json") positions, $shape" "$ours ms" "<= $bar x reference" \
      "$(if [[ -n $theirs ]]; then verdict 'compares "$ratio" "<=" "$bar"'; else echo "no reference"; fi) ($ratio x ${theirs:-none} ms; forward $forward ms)"
  done
}
milliseconds() { # milliseconds NAME: of a pass over all positions, from lm-bench's JSON that comes in
  local json
  json=$(cat)
  awk -v per="$(field "$1" <<<"$json")" -v count="$(field length <<<"$json")" \
    'BEGIN { printf "%.3f", per * count / 1000 }'
}

# The official test shard under a model of 53 M parameters; which weights it has makes no difference.
shard_part() {
  local begin took run=$work/shape-h1d-53m text=(--data "$data" --split test)
  if [[ -f $here/test-shard.txt ]]; then text=(--text "$here/test-shard.txt"); fi
  if [[ ! -d $run ]]; then
    run=$work/shard
    from=$news train shard "$device" 1 "${first[@]}" || true
  fi
  begin=$(now)
  if within 60 "$bin/lm-eval" perplexity --checkpoint "$run" "${text[@]}" --device "$device" \
    >"$work/shard.log" 2>&1; then
    took=$(since "$begin")
    row "${text[*]##*/} scored, $(basename "$run")" "$took s" "<= 3 s" "$(verdict 'compares "$took" "<=" 3')"
  else
    row "the test shard scored" "" "<= 3 s" "FAILED $(last_line "$work/shard.log")"
  fi
}
