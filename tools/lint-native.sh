#!/usr/bin/env bash
# Style, warnings and unit tests of the native reader; what cargo makes is kept in the user's cache.
set -euo pipefail
cd "$(dirname "$0")/../streams/native"
python3 ../../tools/native.py
export CARGO_TARGET_DIR="${TAILRACE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tailrace}/native/target"
cargo fmt --check
cargo clippy --quiet --locked --all-targets --no-default-features -- -D warnings
cargo test --quiet --locked --no-default-features
