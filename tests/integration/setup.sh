#!/usr/bin/env bash
# Installs what the integration tests need beside our own environment: other vendors' SDKs for Python, each in an
# environment of its own (vendors/), Node.js with npm, and the JavaScript OpenTelemetry SDK (js/).
# Run by `make test-integration`. What cannot be had ends with a message and a failure: nothing is left out silently.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

fail() {
  echo "tests/integration/setup.sh: $1" >&2
  exit 1
}

# Python -------------------------------------------------------------------------------------------------------------

root=$(cd ../.. && pwd)
python=$root/.venv/bin/python
[[ -x $python ]] || python=${PYTHON:-python3}
export PIP_DISABLE_PIP_VERSION_CHECK=1

for list in vendors/*.txt; do
  name=$(basename "$list" .txt)
  venv=vendors/.venv/$name
  if [[ $venv/.installed -nt $list ]]; then
    echo "$name: already there"
    continue
  fi
  echo "$name: pip install ..."
  rm -rf "$venv"
  if [[ ! -x vendors/.venv/pip/bin/pip ]]; then
    # one newer pip for all of them: the one that comes with Python 3.11 takes three times as long for these lists
    "$python" -m venv vendors/.venv/pip || fail "python -m venv failed"
    vendors/.venv/pip/bin/pip install --quiet "pip==26.3" || fail "pip install pip failed"
  fi
  "$python" -m venv --without-pip "$venv" || fail "python -m venv failed"
  pip=(vendors/.venv/pip/bin/pip --python "$venv/bin/python" install --quiet --no-deps --no-compile)
  "${pip[@]}" --requirement "$list" --editable "$root" || fail "pip install of $list failed"
  touch "$venv/.installed"
done

# other receivers, for the scoreboard --------------------------------------------------------------------------------

../conformance/setup.sh || fail "tests/conformance/setup.sh failed"

# JavaScript ---------------------------------------------------------------------------------------------------------

cd js

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
