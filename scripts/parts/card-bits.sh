# Parts of check-gpu.sh, which has their words: what must be right on a card.

# Every operation beside its definition in Float64, and the promises bit for bit.
ops_part() { # ops_part PRECISION
  local what="operations, attentions and promises, $1" log=$work/ops-$1
  if within 110 "$bin/lm-bench" device --device "$device" --precision "$1" ${checks:+--filter "$checks"} \
    >"$log" 2>&1; then
    row "$what" "$(grep -c '^holds' "$log") hold" "all" "ok"
  else
    row "$what" "$(grep -c '^holds' "$log" || true) hold, $(grep -c '^FAILS' "$log" || true) not" "all" \
      "FAILED $(last_line "$log")"
    grep '^FAILS' "$log" | head -n 20 | tee -a "$output"
  fi
}

# The losses of one run in both precisions beside the processor's.
golden_part() {
  local precision far count bar
  train golden-cpu cpu "$steps" "${small[@]}" --dropout 0.1 &
  for precision in float32 bfloat16; do
    train "golden-$precision" "$device" "$steps" "${small[@]}" --dropout 0.1 --precision "$precision" || true
  done
  wait $! || true
  for precision in float32 bfloat16; do
    count=50 bar=1e-4
    if [[ $precision == bfloat16 ]]; then count=$steps bar=5e-3; fi
    if ((count > steps)); then count=$steps; fi
    if [[ $(nats golden-cpu 2>/dev/null | wc -l) == "$steps" && $(nats "golden-$precision" 2>/dev/null | wc -l) == "$steps" ]]; then
      far=$(differ golden-cpu "golden-$precision" "$count")
      row "losses of $count of $steps steps, $precision, against the processor" "$far" "<= $bar" \
        "$(verdict 'compares "$far" "<=" "$bar"')"
    else
      row "losses, $precision, against the processor" "" "<= $bar" \
        "FAILED $(last_line "$work/golden-$precision.log") $(last_line "$work/golden-cpu.log")"
    fi
  done
}

# The same bits again; nothing is seen of what comes later, and decoding is the full pass.
bits_part() { # bits_part ATTENTION
  local name=${1//[^a-z]/-} precision count=$sentences
  # Its kernels are those of the processor.
  if [[ $1 == window* ]]; then count=$(((sentences + 9) / 10)); fi
  if train "$name-a" "$device" 6 "${bits[@]}" --dropout 0.1 --attention "$1" &&
    train "$name-b" "$device" 6 "${bits[@]}" --dropout 0.1 --attention "$1"; then
    row "6 steps twice, $1" "" "same bits" "$(verdict '[[ $(weights "$name-a") == $(weights "$name-b") ]]')"
  else
    row "6 steps twice, $1" "" "same bits" "FAILED $(last_line "$work/$name-a.log") $(last_line "$work/$name-b.log")"
  fi
  for precision in float32 bfloat16; do
    if within 60 "$bin/lm-eval" audit --checkpoint "$work/$name-a" --data "$data" --sentences "$count" \
      --device "$device" --precision "$precision" >"$work/$name.log" 2>&1; then
      row "audit of $1, $precision" "" "same bits" "ok"
    else
      row "audit of $1, $precision" "" "same bits" "FAILED $(last_line "$work/$name.log")"
    fi
  done
  rm -rf "$work/$name"-[ab]
}

resume_part() {
  local half=$((1 + RANDOM % 5)) last
  # All of it is warm-up, so that a shorter run is the beginning of a longer one.
  if train whole "$device" 6 "${bits[@]}" --dropout 0.1 --warmup 1000 &&
    train parts "$device" "$half" "${bits[@]}" --dropout 0.1 --warmup 1000 &&
    within 60 "$bin/lm-train" --data "$data" --output "$work/parts" --device "$device" --resume \
      --steps 6 >"$work/parts.log" 2>&1; then
    last=$(sha256sum <"$work/parts/step-00000006/model.safetensors" | cut -d' ' -f1)
    row "resumed at step $half of 6" "" "same bits" "$(verdict '[[ $(weights whole) == "$last" ]]')"
  else
    row "resumed at step $half of 6" "" "same bits" "FAILED $(last_line "$work/parts.log")"
  fi
  rm -rf "$work/whole" "$work/parts"
}

# Scores are the processor's, whatever is computed at a time.
scores_part() {
  local card few cpu far
  score() { # score DEVICE [OPTION...]
    within 60 "$bin/lm-eval" perplexity --checkpoint "$work/scored" --data "$data" --split test \
      --device "$1" --json "${@:2}" 2>"$work/scores.log" | field nats
  }
  if train scored "$device" "$((steps < 50 ? steps : 50))" "${small[@]}"; then
    card=$(score "$device" || true) few=$(score "$device" --batch-tokens 700 || true) cpu=$(score cpu || true)
    far=$(awk -v a="$card" -v b="$cpu" 'BEGIN { d = b ? (a - b) / b : 1; printf "%.1e", d < 0 ? -d : d }')
    row "nats of the test split, float32, against the processor" "$far" "<= 1e-6" \
      "$(verdict '[[ -n $card ]] && compares "$far" "<=" 1e-6')"
    row "nats with other micro-batches" "$card" "same bits" "$(verdict '[[ -n $card && $card == "$few" ]]')"
  else
    row "scores" "" "" "FAILED $(last_line "$work/scored.log")"
  fi
}
