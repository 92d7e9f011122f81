#!/usr/bin/env bash
# Measures what a transaction pooler costs, and what it costs to keep no statements, with a PostgreSQL and a PgBouncer of
# its own. A minute.
#
#   benches/pooler.sh
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "benches/pooler.sh: $*" >&2
  exit 1
}

source tests/postgres.sh
[ -x /usr/sbin/pgbouncer ] || fail "missing: pgbouncer"
[ -n "$(postgres_bin)" ] || fail "missing: postgresql"
start_postgres
cargo bench --locked --bench pooler -- "$@"
