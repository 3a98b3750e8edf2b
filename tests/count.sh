#!/usr/bin/env bash
# Runs a test command, shows what it prints, and closes with how many tests ran and how long that took, in each suite and in all. A suite is a module of a test
# program (`engine_plan`), the unit tests of a crate (`p861_core`), or a test program that has no modules (`e2e`). A suite's seconds are those that passed before
# each of its results came: tests of other suites may have run at the same time.
set -uo pipefail
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Every line goes on at once, and with its time to the log. What ran beside others is shown later: its lines have their time with them.
"$@" 2>&1 | while IFS= read -r line || [ -n "$line" ]; do
  time=${EPOCHREALTIME/,/.}
  if [[ $line =~ ^@([0-9]+\.[0-9]+)\ (.*)$ ]]; then
    time=${BASH_REMATCH[1]} line=${BASH_REMATCH[2]}
  fi
  printf '%s\n' "$line"
  printf '%s %s\n' "$time" "$line" >&3
done 3>"$log"
status=${PIPESTATUS[0]}
echo
awk '
  { now = $1; sub(/^[0-9.]+ /, "") }
  FNR == 1 { begun = now }
  now > ended { ended = now }
  /Running .*\(target/ {
    program = $0; sub(/.*deps\//, "", program); sub(/-[0-9a-f]+\)$/, "", program)
    units = $0 ~ /Running unittests/; last = now; split("", of_run)
  }
  /Doc-tests/ { program = "doc-tests of " $2; units = 1; last = now }
  /^test .* \.\.\. (ok|FAILED)/ {
    suite = program
    if (!units && $2 ~ /::/) { suite = $2; sub(/::.*/, "", suite) }
    if (!(suite in seen)) { seen[suite] = 1; order[++n] = suite }
    if ($0 ~ /\.\.\. ok/) { passed[suite]++ } else { failed[suite]++ }; listed++
    seconds[suite] += now - last; of_run[suite] += now - last; last = now
  }
  # What ran beside others was printed at once, at its end: its own word on how long it took counts, if all of it was one suite.
  /^test result:/ {
    p += $4; f += $6
    suites = 0; for (one in of_run) suites++
    if (suites == 1 && match($0, /finished in [0-9.]+/)) seconds[one] += substr($0, RSTART + 12, RLENGTH - 12) - of_run[one]
    split("", of_run)
  }
  # What failed is said again at the end, with its first words: some see no more than the end.
  /^test .* \.\.\. FAILED/ { name = $0; sub(/^test /, "", name); sub(/ \.\.\. FAILED.*/, "", name); lost[++l] = suite ": " name }
  # With --nocapture a result stands on a line of its own, after what its test printed.
  /^test [^ ]+ \.\.\. / { of_line = $2 }
  $0 == "FAILED" { lost[++l] = program ": " of_line }
  /^failed: / || /^the stage .* could not be / { lost[++l] = $0 }
  /^error(\[E[0-9]+\])?:/ && !/targets? failed|test failed, to rerun/ { lost[++l] = $0 }
  /^test result:/ { heard = 0 }
  /^---- / || /^thread .* panicked at / { heard = 4 }
  heard > 0 && m < 60 { said[++m] = substr($0, 1, 600); heard-- }
  END {
    for (i = 1; i <= n; i++) printf "%-28s %4d passed %4d failed %6.0f s\n", order[i], passed[order[i]], failed[order[i]], seconds[order[i]]
    if (l > 0 || f > 0) {
      print "\nHeard of what failed:"
      for (i = 1; i <= m; i++) print "  " said[i]
      print "\nFailed:"
      for (i = 1; i <= l; i++) print "  " lost[i]
    }
    printf "%d passed, %d failed in %d min %d s\n", p, f, (ended - begun) / 60, (ended - begun) % 60
    # With one thread and --nocapture a result stands on a line of its own, without its name.
    if (listed != p + f) printf "(%d of them stand in no suite above: their results were printed without their names)\n", p + f - listed
    if (p == 0) exit 1
  }' "$log" || status=1
exit "$status"
