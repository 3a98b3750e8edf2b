#!/usr/bin/env bash
# Runs a test command, shows what it prints, and closes with how many tests ran, in each suite and in all.
set -uo pipefail
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$@" 2>&1 | tee -i "$log"
status=${PIPESTATUS[0]}
echo
awk '
  /Running .*\(target/ { suite = $0; sub(/.*deps\//, "", suite); sub(/-[0-9a-f]+\)$/, "", suite) }
  /Doc-tests/ { suite = "doc-tests of " $2 }
  /^test result:/ {
    passed[suite] += $4; failed[suite] += $6; p += $4; f += $6
    if (!(suite in seen)) { seen[suite] = 1; order[++n] = suite }
  }
  # What failed is said again at the end, with its first words: some see no more than the end.
  /^test .* \.\.\. FAILED/ { name = $0; sub(/^test /, "", name); sub(/ \.\.\. FAILED.*/, "", name); lost[++l] = suite ": " name }
  /^error(\[E[0-9]+\])?:/ && !/targets? failed|test failed, to rerun/ { lost[++l] = $0 }
  /^test result:/ { heard = 0 }
  /^---- / || /^thread .* panicked at / { heard = 4 }
  heard > 0 && m < 60 { said[++m] = substr($0, 1, 600); heard-- }
  END {
    for (i = 1; i <= n; i++) if (passed[order[i]] + failed[order[i]] > 0) printf "%-28s %4d passed %4d failed\n", order[i], passed[order[i]], failed[order[i]]
    if (l > 0) {
      print "\nHeard of what failed:"
      for (i = 1; i <= m; i++) print "  " said[i]
      print "\nFailed:"
      for (i = 1; i <= l; i++) print "  " lost[i]
    }
    printf "%d passed, %d failed\n", p, f
    if (p == 0) exit 1
  }' "$log" || status=1
exit "$status"
