#!/usr/bin/env bash
# Every suite. What mostly waits (for API servers, for S3, for alerts) goes on side by side, beside the suites that compute; what it said is shown when those have
# ended. Of the night of alerts a part is played here (tests/tests/runbook_alerts.rs; all of it: make soak). The scenes on real sites come last and have the machine for
# themselves: they measure.
# However this ends, by Ctrl-C too, its processes, test beds and files go.
set -uo pipefail
cd "$(dirname "$0")/.."
place=$(mktemp -d)
chmod 1777 "$place" # as /tmp is: some tests act as another user
export TMPDIR=$place P861_BEDS=$place/beds
# Tests talk to servers of their own on this machine; what cargo starts has it from .cargo/config.toml.
export P861_EGRESS_ALLOW=127.0.0.0/8,::1
# API servers, stores and kubelets are written in Go. They live for minutes here: there is memory enough for them to collect garbage more rarely.
export GOGC=400
: >"$P861_BEDS"

clean() {
  trap '' INT TERM
  # shellcheck disable=SC2046
  kill -TERM $(jobs -p) 2>/dev/null
  wait
  if [ "${P861_KEEP:-}" != 1 ]; then
    while read -r bed; do
      if target/debug/testbed list | grep -q "^$bed "; then target/debug/testbed --name "$bed" down; fi
    done <"$P861_BEDS"
  fi
  rm -rf "$place"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Longer than what goes on beside others takes on a busy machine.
LIMIT=30m

# Each line with the time at which it came: tests/count.sh reads it.
stamp() {
  while IFS= read -r line || [ -n "$line" ]; do printf '@%s %s\n' "${EPOCHREALTIME/,/.}" "$line"; done
}

# beside NAME FOLDER PROGRAM ARGUMENT… starts a test program in its package's folder.
declare -A beside
beside() {
  local name=$1 folder=$2 source program path
  source=$(sed -n "s|^ *Executable \(.*\) (.*/$3-[0-9a-f]*)\$|\1|p" "$place/built")
  program=$(sed -n "s|^ *Executable .* (\(.*/$3-[0-9a-f]*\))\$|\1|p" "$place/built")
  [ -x "$program" ] || { echo "error: the test program $3 was not built" >&2; exit 1; }
  path=$(realpath "$program")
  (
    set -o pipefail
    cd "$folder" || exit
    { echo "     Running $source ($program)"; exec setpriv --pdeathsig TERM -- timeout "$LIMIT" "$path" "${@:4}"; } 2>&1 | stamp >"$place/$name"
  ) &
  beside[$name]=$!
}

# Shows what a program says and has said, until it ends. A signal is heard meanwhile: bash answers none while it runs a program itself.
follow() {
  local status
  echo
  tail -n +1 -f --pid="${beside[$1]}" "$place/$1" &
  wait "$!"
  wait "${beside[$1]}"
  status=$?
  if ((status == 124)); then echo "error: $1 had not ended after $LIMIT"; fi
  ((status == 0)) || failed=1
}

# The programs and images of the beds are made beside the build: cold, both take about ten minutes.
echo 'Building everything that is tested, and what the test beds run (about twenty minutes the first time, seconds afterwards) …'
cargo build --quiet --workspace --bin testbed || exit
setpriv --pdeathsig TERM -- target/debug/testbed prepare &
cargo build --quiet --workspace --bins || exit
cargo test --workspace --no-run 2>&1 | tee -i "$place/built" || exit
failed=0
# More than there are processors: they wait for what they started. The pages of the runbooks take longest and would come last: they begin at once.
threads=$(($(nproc) * 2))
beside night tests suites --ignored --nocapture runbook_alerts::one_alert
beside pages tests suites runbook_pages::
beside servers tests suites --test-threads "$threads" --skip runbook_pages::
beside vault operator/vault vault_suites --test-threads "$(nproc)"
others=$(sed -n 's|^ *Executable tests/.* (.*/\(.*\)-[0-9a-f]*)$|--test \1|p' "$place/built" | grep -Ev ' (suites|vault_suites|e2e)$')
# shellcheck disable=SC2086
cargo test --workspace --no-fail-fast --lib --bins $others || failed=1
cargo test --workspace --no-fail-fast --doc || failed=1
follow vault
follow pages
follow night
follow servers
cargo test --workspace --test e2e || failed=1
exit "$failed"
