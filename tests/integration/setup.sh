#!/usr/bin/env bash
# Installs what the integration tests need beside Python: Node.js with npm, and the JavaScript OpenTelemetry SDK.
# Run by `make test-integration`. What cannot be had ends with a message and a failure: nothing is left out silently.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/js"

fail() {
  echo "tests/integration/setup.sh: $1" >&2
  exit 1
}

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    fail "node and npm are needed (Node.js 18.19 or newer; Debian: apt-get install nodejs npm)"
  fi
  echo "installing nodejs and npm from the distribution ..."
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq </dev/null || fail "apt-get update failed"
  apt-get install -y -qq --no-install-recommends nodejs npm </dev/null >/dev/null || fail "apt-get install nodejs npm failed"
fi

node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 18 || (a == 18 && b >= 19) ? 0 : 1)' ||
  fail "Node.js 18.19 or newer is needed, this is $(node --version)"

if [[ node_modules/.package-lock.json -nt package-lock.json ]]; then
  echo "JavaScript packages: already there"
else
  echo "JavaScript packages: npm ci ..."
  npm ci --loglevel=error --no-progress </dev/null || fail "npm ci failed"
fi
