#!/usr/bin/env bash
# Every suite. The part of the night of alerts that is played here (tests/tests/runbook_alerts.rs; all of it: make soak) is mostly waiting: it goes on beside the
# others, and what it said is shown at the end.
# However this ends, by Ctrl-C too, its processes, test beds and files go.
set -uo pipefail
cd "$(dirname "$0")/.."
place=$(mktemp -d)
chmod 1777 "$place" # as /tmp is: some tests act as another user
export TMPDIR=$place P861_BEDS=$place/beds
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

cargo test --workspace --no-run 2>&1 | tee -i "$place/built" || exit
night=$(sed -n 's/.*Executable tests\/suites.rs (\(.*\/suites-.*\)).*/\1/p' "$place/built")
[ -x "$night" ] || { echo 'error: the test program suites was not built' >&2; exit 1; }

(cd tests && exec setpriv --pdeathsig TERM -- timeout 30m "$(realpath "../$night")" --ignored --nocapture runbook_alerts::one_alert) >"$place/night" 2>&1 &
beside=$!
cargo test --workspace --no-fail-fast
status=$?

echo
echo 'What the night of alerts said, which went on beside the other suites:'
wait "$beside"
night_status=$?
echo "     Running tests/suites.rs ($night)"
cat "$place/night"
if ((night_status == 124)); then echo 'error: the night of alerts had not ended after half an hour'; fi
((night_status == 0)) || status=1
exit "$status"
