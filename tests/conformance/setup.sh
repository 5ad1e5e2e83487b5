#!/usr/bin/env bash
# Gets the receivers that ours is compared with: the wheel `rotel` and the stock Collector, built from its Go modules.
# Both go to .bench/peers and are kept as long as their versions are the same. Without Go the Collector is left out,
# and the scoreboard says so. Run by `make conformance` and tests/integration/setup.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
root=$(cd ../.. && pwd)
peers=$root/.bench/peers
rotel=0.0.1a15
mkdir -p "$peers"

fail() {
  echo "tests/conformance/setup.sh: $1" >&2
  exit 1
}

# rotel --------------------------------------------------------------------------------------------------------------

if [[ $(cat "$peers/rotel/.version" 2>/dev/null) == "$rotel" ]]; then
  echo "rotel: already there"
else
  python=$root/.venv/bin/python
  [[ -x $python ]] || python=${PYTHON:-python3}
  rm -rf "$peers/rotel"
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$peers/rotel" "rotel==$rotel" ||
    fail "pip install rotel==$rotel failed"
  chmod +x "$peers/rotel/rotel/rotel-agent"
  echo "$rotel" >"$peers/rotel/.version"
fi

# the stock Collector ------------------------------------------------------------------------------------------------

sum=$(cat collector/go.mod collector/go.sum collector/main.go | sha256sum | cut -d' ' -f1)
if [[ -x $peers/otelcol && $(cat "$peers/otelcol.version" 2>/dev/null) == "$sum" ]]; then
  echo "stock Collector: already there"
elif command -v go >/dev/null; then
  echo "stock Collector: go build ..."
  (cd collector && GOFLAGS=-mod=readonly GOTOOLCHAIN=local go build -buildvcs=false -trimpath -ldflags "-s -w" -o "$peers/otelcol" .) ||
    fail "go build of the stock Collector failed"
  echo "$sum" >"$peers/otelcol.version"
else
  rm -f "$peers/otelcol" "$peers/otelcol.version"
  echo "stock Collector: no Go here, not built"
fi
