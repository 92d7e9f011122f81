# Sourced by the load scripts: stores of their own, a server of the release build on each pair of them, a light
# request to be timed, and medians.
# PORTCULLIS=<binary> measures another build. Needs redis-server, PostgreSQL, wrk, jq and curl.

fail() {
  echo "$0: $*" >&2
  exit 1
}

source tests/postgres.sh
for tool in redis-server redis-cli wrk jq curl; do
  command -v $tool >/dev/null || fail "missing: $tool"
done
[ -n "$(postgres_bin)" ] || fail "missing: postgresql"

password='correct horse battery staple'
if [ -z "${PORTCULLIS:-}" ]; then
  cargo build --release --locked
  PORTCULLIS=$PWD/target/release/portcullis
fi

folder=$(mktemp -d)
pids=()
stop() {
  local pid
  for pid in "${pids[@]}"; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$folder"
  stop_postgres
}
start_postgres
trap stop EXIT
redis_socket=$folder/redis.sock
redis-server --port 0 --unixsocket "$redis_socket" --save '' --appendonly no --dir "$folder" >"$folder/redis.log" 2>&1 &
pids+=($!)

# for_each_pair FUNCTION [NAME]: calls it with the name of each pair of stores, or of that one alone, and their URLs.
for_each_pair() {
  local each=$1 only=${2:-}
  "$(postgres_bin)/psql" -qX "$TEST_POSTGRES_URL" -c 'CREATE DATABASE alone'
  local alone=${TEST_POSTGRES_URL%/postgres\?*}/alone?sslmode=disable with_redis=redis+unix://$redis_socket
  pair() {
    [ -n "$only" ] && [ "$only" != "$1" ] || "$each" "$@"
  }
  pair sqlite "sqlite://$folder/sqlite/portcullis.db" ""
  pair sqlite+redis "sqlite://$folder/sqlite+redis/portcullis.db" "$with_redis"
  pair postgres "$alone" ""
  pair postgres+redis "$TEST_POSTGRES_URL" "$with_redis"
}

# start_server NAME DATABASE REDIS [flags]: a server that answers at $url, its process $server. One node more of the
# deployment at $public_url, where that is set.
start_server() {
  name=$1 database=$2 redis=$3
  shift 3
  local port=$((20000 + RANDOM % 10000))
  url=http://127.0.0.1:$port
  mkdir "$folder/$name"
  # Not by the function below: its process would be a shell, and the server would outlive it.
  "$PORTCULLIS" --data-dir "$folder/$name" --database-url "$database" ${redis:+--redis-url "$redis"} serve \
    --listen "127.0.0.1:$port" --public-url "${public_url:-$url}" --api-rate 1000000/1s "$@" >"$folder/$name.log" 2>&1 &
  server=$!
  pids+=("$server")
  for _ in $(seq 100); do
    ! curl -fs -o /dev/null "$url/livez" || return 0
    sleep 0.1
  done
  fail "no server: $(cat "$folder/$name.log")"
}

stop_server() {
  kill "$server"
  wait "$server" || true
}

# The command line beside the server that was started last.
portcullis() {
  "$PORTCULLIS" --data-dir "$folder/$name" --database-url "$database" ${redis:+--redis-url "$redis"} "$@"
}

# create_user NAME [flags]: with the password above.
create_user() {
  local user=$1
  shift
  echo "$password" | portcullis user create "$user" --email "$user@example.com" --password-stdin --yes "$@" >/dev/null
}

# sign_in NAME: the answer of the API.
sign_in() {
  curl -fs "$url/api/v1/auth/login" -H 'content-type: application/json' -d "{\"username\":\"$1\",\"password\":\"$password\"}"
}

# memory PID [VmHWM]: MiB resident now, or the most so far.
memory() {
  awk -v "field=${2:-VmRSS}:" '$1 == field { printf "%.0f", $2 / 1024 }' "/proc/$1/status"
}

median() {
  sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'
}

# A time in microseconds as milliseconds.
ms() {
  awk "BEGIN { printf \"%.2f\", $1 / 1000 }"
}

cat >"$folder/light.lua" <<'LUA'
done = function(summary, latency)
  io.write(string.format("p99 %d\n", latency:percentile(99)))
  if summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout > 0 then
    io.write("lost\n")
  end
end
LUA

# light TOKEN SECONDS: the 99th percentile, in microseconds, of the time of `GET /api/v1/me`, one after the other.
light() {
  local output
  output=$(wrk -t1 -c1 -d"${2}s" -s "$folder/light.lua" -H "authorization: Bearer $1" "$url/api/v1/me")
  ! grep -q lost <<<"$output" || fail "a light request was lost: $output $(tail -5 "$folder/$name.log")"
  sed -n 's/^p99 //p' <<<"$output"
}

# light_median TOKEN SECONDS ROUNDS: the median of so many of these.
light_median() {
  local round
  for ((round = 0; round < $3; round++)); do
    light "$1" "$2"
  done | median
}
