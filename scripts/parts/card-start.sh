# Parts of check-gpu.sh, which has their words: from nothing to the first step, and what a person reads
# when it goes wrong.

start_part() {
  local state took begin bar run
  for state in cold warm; do
    bar=15 run=$work/start-$state
    if [[ $state == warm ]]; then bar=2; fi
    begin=$(now)
    # Until the first step is told of: what a run of one step writes at its end is no part of it.
    from=$news train "start-$state" "$device" 1 "${first[@]}" &
    took=""
    while kill -0 $! 2>/dev/null && [[ -z $took ]]; do
      if grep -q '^step 1/' "$run.log" 2>/dev/null; then took=$(since "$begin"); else sleep 0.02; fi
    done
    wait $! || true
    if [[ -z $took ]] && grep -q '^step 1/' "$run.log"; then took=$(since "$begin"); fi
    if [[ -n $took ]]; then
      row "first step, $state cache" "$took s" "<= $bar s" "$(verdict 'compares "$took" "<=" "$bar"')"
    else
      row "first step, $state cache" "" "<= $bar s" "FAILED $(last_line "$run.log")"
    fi
    rm -rf "$run"
  done
}

faults_part() {
  local code
  train full "$device" 1 "${small[@]}" --batch-tokens 60000000 --micro-batch-tokens 60000000 && code=0 || code=$?
  row "a card that is too small" "exit code $code" "1" "$(verdict '((code == 1))') $(last_line "$work/full.log")"
  train none "cuda:99" 1 "${small[@]}" && code=0 || code=$?
  row "a card that is not there" "exit code $code" "1" "$(verdict '((code == 1))') $(last_line "$work/none.log")"
}
