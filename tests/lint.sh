#!/usr/bin/env bash
# Checks the source without running it. Every check is made, also after one has failed; with names, only those.
# tests/setup.sh lint installs what it needs.
set -uo pipefail
PATH=${P861_LINT_TOOLS:-$PWD/target/tools/bin}:$PATH

# The line that rustfmt would write.
format() { cargo fmt --all --check; }
# After -- and not in RUSTFLAGS: those would build every dependency again.
clippy() { cargo clippy --quiet --locked --workspace --all-targets -- -D warnings; }
# A dependency that no source names, or that only tests name.
dependencies() { cargo shear --locked --deny-warnings; }
# What deny.toml says of crates, licences and registries.
deny() { cargo deny --locked --log-level error check bans licenses sources; }

(($#)) || set -- format dependencies deny clippy
failed=()
for check; do
  "$check" || failed+=("$check")
done
if ((${#failed[@]})); then
  echo "make lint: ${failed[*]} failed" >&2
  exit 1
fi
