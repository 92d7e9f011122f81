#!/usr/bin/env bash
# Runs every test. Installs what is missing (Debian, as root; clients in Python and JavaScript into target/test-tools),
# starts a PostgreSQL of its own and stops it again; the tests start their own Redis servers and browsers.
#
#   tests/run.sh              everything but the suites that take minutes
#   tests/run.sh --long       those too
#   tests/run.sh sessions::   only the tests whose name contains this
#
# TEST_SEED=<n> tests/run.sh histories:: runs one history again, eight times on each pair of stores (with --long, a long one).
# TEST_SCREENSHOTS=<folder> tests/run.sh pages:: leaves a picture of every page there, wide and narrow, light and dark.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "tests/run.sh: $*" >&2
  exit 1
}

arguments=()
for argument in "$@"; do
  case $argument in
    --long) export TEST_LONG=1 ;;
    -h | --help)
      sed -n '2,11s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *) arguments+=("$argument") ;;
  esac
done

source tests/postgres.sh

# --- what is needed ---------------------------------------------------------------------------------------------

missing=()
command -v redis-server >/dev/null && command -v redis-cli >/dev/null || missing+=(redis-server)
[ -n "$(postgres_bin)" ] || missing+=(postgresql)
[ -x /usr/sbin/pgbouncer ] || missing+=(pgbouncer)
compgen -G '/usr/lib/*/libnss_wrapper.so' >/dev/null || missing+=(libnss-wrapper)
command -v chromium >/dev/null || missing+=(chromium)
command -v chromedriver >/dev/null || missing+=(chromium-driver)
command -v nginx >/dev/null || missing+=(nginx)
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v openssl >/dev/null || missing+=(openssl)
command -v curl >/dev/null || missing+=(curl ca-certificates)
command -v jq >/dev/null || missing+=(jq)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
command -v node >/dev/null && command -v npm >/dev/null || missing+=(nodejs npm)
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || fail "please install: ${missing[*]}"
  [ "$(id -u)" = 0 ] || fail "missing: ${missing[*]}. Run: sudo apt-get install ${missing[*]}"
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q && apt-get install -yq --no-install-recommends "${missing[@]}" || fail "could not install ${missing[*]}"
fi

# Clients that we did not write, each of one version. What is installed already is not asked for again.
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "Python 3.10 or newer is needed, this is $(python3 --version)"
node_version=$(node --version)
node_major=${node_version#v}
node_major=${node_major%%.*}
[ "$node_major" -ge 18 ] || fail "Node.js 18 or newer is needed, this is $node_version"
# There Web Crypto, which jose needs, has to be asked for.
[ "$node_major" -gt 18 ] || export NODE_OPTIONS=--experimental-global-webcrypto

export TEST_TOOLS=$PWD/target/test-tools
mkdir -p "$TEST_TOOLS"
if ! cmp -s tests/requirements.txt "$TEST_TOOLS/venv/requirements.txt"; then
  echo "installing Python packages into target/test-tools"
  python3 -m venv --clear "$TEST_TOOLS/venv"
  "$TEST_TOOLS/venv/bin/pip" install --quiet --disable-pip-version-check -r tests/requirements.txt || fail "pip failed"
  cp tests/requirements.txt "$TEST_TOOLS/venv/"
fi
if ! cmp -s tests/foreign/package-lock.json "$TEST_TOOLS/node/installed.json"; then
  echo "installing JavaScript packages into target/test-tools"
  rm -rf "$TEST_TOOLS/node"
  mkdir "$TEST_TOOLS/node"
  cp tests/foreign/package.json tests/foreign/package-lock.json "$TEST_TOOLS/node/"
  (cd "$TEST_TOOLS/node" && npm ci --silent --ignore-scripts --no-audit --no-fund) || fail "npm failed"
  cp tests/foreign/package-lock.json "$TEST_TOOLS/node/installed.json"
fi

# The databases of the tests lie in memory where there is room. On a disk that a linker writes to, SQLite waits longer
# than a request may, and its 503 is in the way of tests of something else.
in_memory=$(df --output=avail --block-size=1G /dev/shm 2>/dev/null | tail -1 || true)
if [ -z "${TMPDIR:-}" ] && [ "${in_memory:-0}" -ge 4 ] && [ -w /dev/shm ]; then
  export TMPDIR=/dev/shm
fi

start_postgres

# Settings of this shell must not leak into the servers under test.
while IFS= read -r name; do
  unset "$name"
done < <(compgen -e | grep -E '^(PORTCULLIS_|DATABASE_URL$|REDIS_URL$)' || true)

cargo test --locked --no-fail-fast "${arguments[@]+"${arguments[@]}"}"
