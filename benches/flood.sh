#!/usr/bin/env bash
# Measures what a flood of sign-ins costs a light request (GET /api/v1/me of one signed-in program): the 99th percentile
# of its time under the flood, over the same without, on each pair of stores. Needs wrk and jq; some minutes.
#
#   benches/flood.sh                  everything; ROUNDS=3 SECONDS_EACH=8 CONNECTIONS=32
#   benches/flood.sh postgres         only these stores: sqlite, sqlite+redis, postgres, postgres+redis
#
# The flood comes from many addresses, each with less than `login_rate`: at names that nobody has, a new one each time, and
# at the name of one account, which is soon locked. The rounds alternate, the median counts.
# PORTCULLIS=<binary> measures another build.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "benches/flood.sh: $*" >&2
  exit 1
}

source tests/postgres.sh
for tool in redis-server wrk jq curl; do
  command -v $tool >/dev/null || fail "missing: $tool"
done
[ -n "$(postgres_bin)" ] || fail "missing: postgresql"

rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-8}
connections=${CONNECTIONS:-32}
only=${1:-}
if [ -z "${PORTCULLIS:-}" ]; then
  cargo build --release --locked
  PORTCULLIS=$PWD/target/release/portcullis
fi

folder=$(mktemp -d)
server_pid=
redis_pid=
stop() {
  for pid in $server_pid $redis_pid; do
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
redis_pid=$!

cat >"$folder/flood.lua" <<'LUA'
local kind = os.getenv("KIND")
local count = 0
request = function()
  count = count + 1
  local name = kind == "one" and "anna" or ("invented" .. math.random(1, 1000000000))
  local headers = {
    ["content-type"] = "application/json",
    ["x-forwarded-for"] = string.format("10.%d.%d.%d", math.random(0, 255), math.random(0, 255), math.random(1, 254)),
  }
  local body = string.format('{"username":"%s","password":"a wrong password"}', name)
  return wrk.format("POST", "/api/v1/auth/login", headers, body)
end
local statuses = {}
setup = function(thread) table.insert(statuses, thread) end
init = function() math.randomseed(os.time()) end
seen = {}
response = function(status) seen[status] = (seen[status] or 0) + 1 end
done = function()
  local all = {}
  for _, thread in ipairs(statuses) do
    for status, number in pairs(thread:get("seen")) do all[status] = (all[status] or 0) + number end
  end
  for status, number in pairs(all) do io.write(string.format("%d of %d, ", number, status)) end
  io.write("\n")
end
LUA
cat >"$folder/light.lua" <<'LUA'
done = function(summary, latency)
  io.write(string.format("p99 %d\n", latency:percentile(99)))
  if summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout > 0 then
    io.write("lost\n")
  end
end
LUA

portcullis() {
  "$PORTCULLIS" --data-dir "$folder/$name" --database-url "$database" ${redis:+--redis-url "$redis"} "$@"
}

# The 99th percentile of the light request, in microseconds.
light() {
  local output
  output=$(wrk -t1 -c1 -d"${seconds}s" -s "$folder/light.lua" -H "authorization: Bearer $token" "$url/api/v1/me")
  ! grep -q lost <<<"$output" || fail "a light request was lost: $output"
  sed -n 's/^p99 //p' <<<"$output"
}

median() {
  sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'
}

measure() {
  local name=$1 database=$2 redis=$3 port=$((20000 + RANDOM % 10000))
  local url=http://127.0.0.1:$port token quiet flooded statuses kind round
  [ -z "$only" ] || [ "$only" = "$name" ] || return 0
  mkdir "$folder/$name"
  # Not a function: its process would be a shell, and the server would outlive it.
  "$PORTCULLIS" --data-dir "$folder/$name" --database-url "$database" ${redis:+--redis-url "$redis"} serve \
    --listen "127.0.0.1:$port" --public-url "$url" --api-rate 1000000/1s --log-level warn \
    >"$folder/$name.log" 2>&1 &
  server_pid=$!
  for _ in $(seq 100); do
    ! curl -fs -o /dev/null "$url/livez" || break
    sleep 0.1
  done
  for user in root:admin anna:user; do
    echo 'correct horse battery staple' | portcullis user create "${user%:*}" --email "${user%:*}@example.com" \
      --role "${user#*:}" --password-stdin --yes >/dev/null
  done
  token=$(curl -fs "$url/api/v1/auth/login" -H 'content-type: application/json' \
    -d '{"username":"root","password":"correct horse battery staple"}' | jq -r .access_token)
  for kind in invented one; do
    : >"$folder/quiet" && : >"$folder/flooded"
    for ((round = 0; round < rounds; round++)); do
      light >>"$folder/quiet"
      KIND=$kind wrk -t1 -c"$connections" -d"$((seconds + 2))s" -s "$folder/flood.lua" "$url/" >"$folder/flood.out" &
      local flood=$!
      sleep 1
      light >>"$folder/flooded"
      wait "$flood"
    done
    quiet=$(median <"$folder/quiet")
    flooded=$(median <"$folder/flooded")
    statuses=$(grep ' of ' "$folder/flood.out")
    printf '| %s | %s | %s | %s | %s | %s |\n' "$name" "$kind" "$(ms "$quiet")" "$(ms "$flooded")" \
      "$(awk "BEGIN { printf \"%.1f\", $flooded / $quiet }")" "${statuses%, }"
  done
  kill "$server_pid"
  wait "$server_pid" || true
  server_pid=
}

ms() {
  awk "BEGIN { printf \"%.2f\", $1 / 1000 }"
}

echo "| stores | names | p99 quiet, ms | p99 flooded, ms | ratio | answers to the flood, last round |"
echo "|---|---|---|---|---|---|"
measure sqlite "sqlite://$folder/sqlite/portcullis.db" ""
measure sqlite+redis "sqlite://$folder/sqlite+redis/portcullis.db" "redis+unix://$redis_socket"
"$(postgres_bin)/psql" -qX "$TEST_POSTGRES_URL" -c 'CREATE DATABASE alone'
measure postgres "${TEST_POSTGRES_URL%/postgres\?*}/alone?sslmode=disable" ""
measure postgres+redis "$TEST_POSTGRES_URL" "redis+unix://$redis_socket"
