#!/usr/bin/env bash
# Measures what a signed-in request costs, beside a bare handler of actix-web that asks Redis once and sends as many bytes:
# requests a second and their ratio, percentiles of the time, CPU of the server and round trips to the stores a request, and
# memory. Needs wrk and jq; some minutes for each pair of stores.
#
#   benches/load.sh                        everything; ROUNDS=3 SECONDS_EACH=4 CONNECTIONS=64
#   benches/load.sh sqlite+redis           only these stores: sqlite, sqlite+redis, postgres, postgres+redis
#   ROUTES="me livez" benches/load.sh      only these: livez me profile account refresh login
#
# The load generator has the same cores as the servers. Ours and the bare one take turns in each round; the median counts.
# PORTCULLIS=<binary> and BARE=<binary> measure other builds.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${BARE:-}" ]; then
  # Both at once: the feature makes no other server, but Cargo would build it again.
  cargo build --release --locked --features bench
  PORTCULLIS=${PORTCULLIS:-$PWD/target/release/portcullis} BARE=$PWD/target/release/bare
fi
source benches/stores.sh

rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-4}
connections=${CONNECTIONS:-64}
routes=${ROUTES:-livez me profile account refresh login}
bare_port=$((20000 + RANDOM % 10000))
"$BARE" "$bare_port" "$redis_socket" &
bare_pid=$!
pids+=("$bare_pid")

cat >"$folder/load.lua" <<'LUA'
-- KIND: get, refresh (TOKENS: a file of refresh tokens, one for each thread), login (names user1 … user32)
local kind = os.getenv("KIND")
local thread_count = 0
setup = function(thread)
  thread_count = thread_count + 1
  thread:set("number", thread_count)
end
local json = { ["content-type"] = "application/json" }
init = function()
  if kind == "refresh" then
    local at = 0
    for line in io.lines(os.getenv("TOKENS")) do
      at = at + 1
      if at == number then token = line end
    end
  end
  count = 0
end
if kind == "refresh" then
  request = function()
    return wrk.format("POST", "/api/v1/auth/refresh", json, '{"refresh_token":"' .. token .. '"}')
  end
  response = function(status, headers, body)
    token = string.match(body, '"refresh_token":"([^"]+)"') or token
  end
elseif kind == "login" then
  request = function()
    count = count + 1
    local headers = {
      ["content-type"] = "application/json",
      ["x-forwarded-for"] = string.format("10.%d.%d.%d", math.random(0, 255), math.random(0, 255), math.random(1, 254)),
    }
    local body = string.format('{"username":"user%d","password":"correct horse battery staple"}', count % 8 + 1)
    return wrk.format("POST", "/api/v1/auth/login", headers, body)
  end
end
done = function(summary, latency)
  local errors = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("RESULT %d %d %.0f %d %d\n", summary.requests, errors,
    summary.requests / summary.duration * 1e6, latency:percentile(50), latency:percentile(99)))
end
LUA

# CPU time of a process so far, in microseconds.
cpu() {
  awk -v hertz="$(getconf CLK_TCK)" '{ print ($14 + $15) * 1000000 / hertz }' "/proc/$1/stat"
}

redis_calls() {
  redis-cli -s "$redis_socket" info commandstats | sed -n 's/^cmdstat_evalsha:calls=\([0-9]*\).*/\1/p'
}

# The server answers at once again; what it put off is done.
settle() {
  sleep 0.3
}

# run PID URL [wrk arguments]: requests a second, p50 and p99 in microseconds, CPU a request in microseconds, Redis calls a
# request.
run() {
  local pid=$1 url=$2 output before calls
  shift 2
  before=$(cpu "$pid")
  calls=$(redis_calls)
  output=$(wrk -d"${seconds}s" -s "$folder/load.lua" "$@" "$url")
  output=$(sed -n 's/^RESULT //p' <<<"$output")
  set -- $output
  [ "$2" -eq 0 ] || echo "$2 of $1 requests to $url failed" >&2
  awk -v rate="$3" -v p50="$4" -v p99="$5" -v cpu="$(cpu "$pid")" -v before="$before" -v count="$1" \
    -v calls="$(redis_calls)" -v calls_before="${calls:-0}" \
    'BEGIN { printf "%d %d %d %.1f %.2f\n", rate, p50, p99, (cpu - before) / count, (calls - calls_before) / count }'
  settle
}

measure() {
  local idle number token session route ours bare round
  start_server "$@" --login-rate 1000000/1s --log-format json
  idle=$(memory "$server")
  for number in 1 2 3 4 5 6 7 8; do
    create_user "user$number"
    sign_in "user$number" >"$folder/tokens.json"
    jq -r .refresh_token "$folder/tokens.json"
  done >"$folder/refresh-tokens"
  token=$(jq -r .access_token "$folder/tokens.json")
  session=$(curl -fs -o /dev/null -D - "$url/login" -H "origin: $url" --data-urlencode username=user1 \
    --data-urlencode "password=$password" | sed -n 's/^set-cookie: \(portcullis=[^;]*\).*/\1/Ip')
  [ -n "$session" ] || fail "no session cookie"
  for route in $routes; do
    : >"$folder/ours" && : >"$folder/bare"
    for ((round = 0; round < rounds; round++)); do
      local with=(-t2 "-c$connections") path
      export KIND=get TOKENS="$folder/refresh-tokens"
      case $route in
        livez) path=/livez ;;
        me) path=/api/v1/me with+=(-H "authorization: Bearer $token") ;;
        profile) path=/account/profile with+=(-H "cookie: $session") ;;
        account) path=/account with+=(-H "cookie: $session") ;;
        refresh) path=/ with=(-t8 -c8) KIND=refresh ;;
        login) path=/ with=(-t1 -c16) KIND=login ;;
      esac
      run "$server" "$url$path" "${with[@]}" >>"$folder/ours"
      case $route in
        livez) path=/livez ;;
        me | login) path=/json ;;
        profile | account) path=/page ;;
        refresh) path=/twice ;;
      esac
      KIND=get run "$bare_pid" "http://127.0.0.1:$bare_port$path" -t2 "-c$connections" >>"$folder/bare"
    done
    ours=$(column_medians <"$folder/ours")
    bare=$(column_medians <"$folder/bare")
    set -- $ours $bare
    printf '| %s | %s | %s | %s | %.3f | %s | %s | %s | %s | %s |\n' "$name" "$route" "$1" "$6" \
      "$(awk "BEGIN { print $1 / $6 }")" "$2" "$3" "$4" "$5" "$9"
  done
  printf '\n%s: %s MiB resident before the first request, %s after the last. Log: %s lines lost.\n\n' "$name" "$idle" \
    "$(memory "$server")" "$(sed -n 's/.*"lost":\([0-9]*\).*/\1/p' "$folder/$name.log" | awk '{ lost += $1 } END { print lost + 0 }')"
  stop_server
}

# The median of each of five columns.
column_medians() {
  local all column
  all=$(cat)
  for column in 1 2 3 4 5; do
    cut -d' ' -f$column <<<"$all" | median
  done | paste -sd' '
}

echo "| stores | route | requests/s | bare | ratio | p50, µs | p99, µs | CPU a request, µs | Redis calls a request | bare CPU, µs |"
echo "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
for_each_pair measure "${1:-}"
