#!/usr/bin/env bash
# Measures what a flood of sign-ins costs a light request (GET /api/v1/me of one signed-in program): the 99th percentile
# of its time under the flood, over the same without, on each pair of stores. Needs wrk and jq; some minutes.
#
#   benches/flood.sh                  everything; ROUNDS=3 SECONDS_EACH=8 CONNECTIONS=32
#   benches/flood.sh postgres         only these stores: sqlite, sqlite+redis, postgres, postgres+redis
#
# The flood comes from many addresses, each with less than `login_rate`: at names that nobody has, a new one each time, and
# at the name of one account, which is soon locked. What is quiet was measured before the first flood; the median counts.
# After each flood somebody else signs in: how long until that is answered again, the longest of the rounds.
# PORTCULLIS=<binary> measures another build.
set -euo pipefail
cd "$(dirname "$0")/.."
source benches/stores.sh

rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-8}
connections=${CONNECTIONS:-32}

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

measure() {
  local token quiet flooded statuses kind round ended recovered
  start_server "$@" --log-level warn
  create_user root --role admin
  create_user anna --role user
  token=$(sign_in root | jq -r .access_token)
  quiet=$(light_median "$token" "$seconds" "$rounds")
  for kind in invented one; do
    : >"$folder/flooded" && : >"$folder/recovered"
    for ((round = 0; round < rounds; round++)); do
      KIND=$kind wrk -t1 -c"$connections" -d"$((seconds + 2))s" -s "$folder/flood.lua" "$url/" >"$folder/flood.out" &
      local flood=$!
      sleep 1
      light "$token" "$seconds" >>"$folder/flooded"
      wait "$flood"
      ended=$(date +%s%N)
      until sign_in root >"$folder/signed-in.json"; do
        [ $(($(date +%s%N) - ended)) -lt 30000000000 ] || fail "nobody can sign in for 30 s after the flood"
      done
      echo $((($(date +%s%N) - ended) / 1000000)) >>"$folder/recovered"
    done
    flooded=$(median <"$folder/flooded")
    statuses=$(grep ' of ' "$folder/flood.out")
    recovered=$(sort -n "$folder/recovered" | tail -1)
    printf '| %s | %s | %s | %s | %s | %s | %s | %s |\n' "$name" "$kind" "$(ms "$quiet")" "$(ms "$flooded")" \
      "$(awk "BEGIN { printf \"%.1f\", $flooded / $quiet }")" "$recovered" "$(memory "$server" VmHWM)" "${statuses%, }"
  done
  stop_server
}

echo "| stores | names | p99 quiet, ms | p99 flooded, ms | ratio | recovered after, ms | peak MiB | answers to the flood, last round |"
echo "|---|---|---|---|---|---|---|---|"
for_each_pair measure "${1:-}"
