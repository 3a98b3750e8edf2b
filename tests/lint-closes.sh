#!/usr/bin/env bash
# Plants one fault after another in a small workspace with the lints of this one, and sees tests/lint.sh refuse each, and nothing else.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export P861_LINT_TOOLS=$root/target/tools/bin
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset CARGO_TARGET_DIR
cd "$scratch"

# The workspace of this checkout, with one member that depends on nothing: so it takes seconds.
fresh() {
  rm -rf planted Cargo.toml
  mkdir -p planted/src
  cp "$root"/{clippy,rustfmt,deny}.toml .
  awk '
    /^members = /                { print "members = [\"planted\"]"; next }
    /^\[workspace.dependencies\]/ { dependencies = 1; next }
    /^\[/                        { dependencies = 0 }
    !dependencies' "$root/Cargo.toml" >Cargo.toml
  cat >planted/Cargo.toml <<'TOML'
[package]
name = "planted"
version.workspace = true
edition.workspace = true
license.workspace = true
publish.workspace = true

[lints]
workspace = true
TOML
  cat >planted/src/lib.rs <<'RUST'
//! Nothing is wrong here.

/// Twice the number.
pub fn double(number: u32) -> u32 {
    number * 2
}
RUST
  cargo generate-lockfile --offline --quiet
}

say() {
  echo "lint-closes: $*" >&2
  sed 's/^/  /' out >&2
  exit 1
}

# refused WHAT CHECK: the fault that was planted is refused by that check, and by no other.
refused() {
  cargo generate-lockfile --offline --quiet
  if "$root/tests/lint.sh" >out 2>&1; then say "$1 was not refused"; fi
  grep -qxF "make lint: $2 failed" out || say "$1 was to be refused by $2 alone"
}

fresh
"$root/tests/lint.sh" >out 2>&1 || say 'a source without a fault was refused'

fresh
printf '\n/// Half the number.\npub fn half(number: Option<u32>) -> u32 {\n    number.unwrap() / 2\n}\n' >>planted/src/lib.rs
refused 'an unwrap' clippy

fresh
printf '\npub fn half(number: u32) -> u32 {\n    number / 2\n}\n' >>planted/src/lib.rs
refused 'a public function without documentation' clippy

fresh
{
  printf '\n/// Too long.\npub fn long(mut number: u32) -> u32 {\n'
  for ((line = 0; line < 80; line++)); do echo '    number = double(number);'; done
  printf '    number\n}\n'
} >>planted/src/lib.rs
refused 'a function of 81 lines' clippy

fresh
sed -i 's/    number \* 2/  number * 2/' planted/src/lib.rs
refused 'a line that rustfmt would write otherwise' format

# A crate of this folder's own: nothing is fetched.
spare() {
  mkdir -p planted/spare/src
  printf '[package]\nname = "spare"\nversion = "0.1.0"\nedition = "2024"\nlicense = "%s"\npublish = false\n' "$1" >planted/spare/Cargo.toml
  printf '//! Spare.\n\n/// One.\npub fn one() -> u32 {\n    1\n}\n' >planted/spare/src/lib.rs
  printf '\n[dependencies]\nspare = { path = "spare" }\n' >>planted/Cargo.toml
}

fresh
spare MIT
refused 'a dependency that nothing uses' dependencies

fresh
spare AGPL-3.0-only
printf '\npub use spare::one;\n' >>planted/src/lib.rs
refused 'a licence that deny.toml does not list' deny

echo 'make lint refuses a warning, a missing docstring, a function of 81 lines, an unformatted line, an unused dependency and a foreign licence.'
