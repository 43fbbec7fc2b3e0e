#!/usr/bin/env bash
# Holds all dependencies against deny.toml by cargo-deny, which is built into target/tools at first use.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
tools=${CARGO_TARGET_DIR:-$PWD/target}/tools
deny=$tools/bin/cargo-deny
if [ "$("$deny" --version 2>/dev/null)" != "cargo-deny $version" ]; then
    # For debugging: it is run once, and building it for release takes three times as long.
    CARGO_TARGET_DIR=$tools/build CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0 \
        cargo install --quiet --debug --locked --force --root "$tools" "cargo-deny@$version"
    rm -rf "$tools/build"
fi

for manifest in Cargo.toml fuzz/Cargo.toml; do
    "$deny" --log-level error --manifest-path "$manifest" check --hide-inclusion-graph bans licenses sources
done

# The advisories are a repository on GitHub.
said=$(mktemp)
trap 'rm -f "$said"' EXIT
if timeout 120 "$deny" --log-level error check --hide-inclusion-graph advisories >"$said" 2>&1; then
    cat "$said"
elif grep -q 'failed to fetch advisory database' "$said"; then
    echo "SKIPPED: advisories: their database can't be had from here" | tee -a "${FLATLINE_LAB_SKIPPED:-/dev/null}" >&2
else
    cat "$said" >&2
    exit 1
fi
