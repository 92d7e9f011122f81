#!/usr/bin/env bash
# Measures the administration on both pairs of stores, with a PostgreSQL and a Redis of its own. Some minutes for each.
#
#   benches/run.sh                      everything
#   benches/run.sh --backend postgres   what else there is: --help
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "benches/run.sh: $*" >&2
  exit 1
}

source tests/postgres.sh
command -v redis-server >/dev/null && command -v redis-cli >/dev/null || fail "missing: redis-server"
[ -n "$(postgres_bin)" ] || fail "missing: postgresql"
start_postgres
cargo bench --locked --bench administration -- "$@"
