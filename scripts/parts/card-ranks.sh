# shellcheck shell=bash disable=SC2154
# Several ranks on cards, for scripts/check-gpu.sh, whose words it uses.

# Numbers go through NCCL to the one rank that there is and back; two ranks share the card and exchange
# through MPI: the bits of one.
ranks_part() {
  local own theirs launch=() log=$work/ranks.log
  # PyTorch brings NCCL, where nothing else does.
  local nccl=""
  if [[ -n ${python:-} ]]; then
    nccl=$("$python" -c 'import nvidia.nccl; print(list(nvidia.nccl.__path__)[0] + "/lib")' 2>/dev/null || true)
  fi
  exchange() { # exchange DEVICE: the digest of some sums
    LM_CUDA_LIBRARIES=${LM_CUDA_LIBRARIES:-}${nccl:+:$nccl} within 60 "$bin/lm-bench" exchange \
      --device "$1" --calls 3 --numbers "$numbers" 2>"$log" | tee "$work/exchange" | awk '$1 == "digest" { print $2 }'
  }
  local numbers=5000000
  if [[ ${SIZE:-full} == tiny ]]; then numbers=20000; fi
  theirs=$(exchange cpu || true)
  own=$(LM_NCCL=on exchange "$device" || true)
  if grep -q 'libnccl.so.2 is not' "$log"; then
    row "NCCL with one rank" "" "same sums" "not run: no libnccl.so.2"
  elif [[ -n $own && $own == "$theirs" ]]; then
    row "NCCL with one rank" "$(sed -n 's/^way  *\(NCCL [^ ]*\).*/\1/p' "$work/exchange")" "same sums" "ok"
  else
    row "NCCL with one rank" "" "same sums" "FAILED $(last_line "$log")"
  fi

  local what="two ranks sharing the card through MPI: the bits of one"
  if [[ -x $here/mpi/bin/mpiexec.hydra ]]; then
    launch=("$here/mpi/bin/mpiexec.hydra" -n 2)
  elif command -v mpirun >/dev/null; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
    launch=(mpirun -n 2)
  else
    row "$what" "" "same bits" "not run: no MPI"
    return
  fi
  # By its number, which every process takes literally.
  local card=$device
  if [[ $card == cuda ]]; then card=cuda:0; fi
  shared() { # shared RUN [LAUNCHER...]: a run with the same seed every time
    local run=$1
    shift
    within 100 "$@" "$bin/lm-train" --data "$data" --output "$work/$run" --device "$card" --layers 2 \
      --width 96 --heads 4 --hidden 256 --steps 6 --batch-tokens 300 --gradient-shares 4 --dropout 0.1 \
      --warmup 1 --threads 1 --log-every 1 --validate-every 0 --checkpoint-every 0 >"$work/$run.log" 2>&1
  }
  digests() { (cd "$work/$1/step-00000006" && sha256sum model.safetensors optimizer.safetensors); }
  if shared alone && shared pair "${launch[@]}" && [[ $(digests alone) == "$(digests pair)" ]]; then
    row "$what" "" "same bits" "$(verdict 'grep -q "go between cards by MPI" "$work/pair.log"')"
  else
    row "$what" "" "same bits" "FAILED $(last_line "$work/pair.log" 2>/dev/null || last_line "$work/alone.log")"
  fi
}
