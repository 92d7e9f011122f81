#!/usr/bin/env bash
# Measures what clients that take their time cost a light request (GET /api/v1/me of one signed-in program): the 99th
# percentile of its time beside a thousand connections of slowhttptest, over the same without, in each of its four modes.
# SQLite alone: no slow client gets as far as a store. Needs slowhttptest, wrk and jq; two minutes.
#
#   benches/slow_clients.sh                  everything; ROUNDS=3 SECONDS_EACH=5 CONNECTIONS=1000
#   benches/slow_clients.sh body             only this mode: headers, body, range, read
#
# What slowhttptest does, URL being that of the server:
#
#   headers   slowhttptest -H -i 3 -u URL/login
#   body      slowhttptest -B -i 3 -s 8192 -f application/json -u URL/api/v1/auth/refresh
#   range     slowhttptest -R -a 10 -b 3000 -t GET -u URL/static/app.css
#   read      slowhttptest -X -k 1 -n 5 -z 32 -w 512 -y 1024 -u URL/openapi.json
#
# Who reads slowly asks once. Of three answers each (-k 3) a thousand have the kernel hold 1.5 GB, and it throttles every
# connection of the machine above what net.ipv4.tcp_mem allows: that would measure the kernel, as TcpExtTCPMemoryPressures of
# nstat would say.
#
# It ends as soon as the server has closed all connections, and begins anew as long as is measured. What is quiet was
# measured before the first mode; the median counts. PORTCULLIS=<binary> measures another build.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v slowhttptest >/dev/null; then
  echo "$0: missing: slowhttptest" >&2
  exit 1
fi
source benches/stores.sh

rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-5}
connections=${CONNECTIONS:-1000}
only=${1:-}
# All connections are made within two seconds.
ramp=2

# Slow clients in this mode until the file `over` is there, or the script has ended otherwise, with figures of each second in
# files of that name.
attack() {
  local mode=$1 number=0 options
  case $mode in
    headers) options=(-H -i 3 -u "$url/login") ;;
    body) options=(-B -i 3 -s 8192 -f application/json -u "$url/api/v1/auth/refresh") ;;
    range) options=(-R -a 10 -b 3000 -t GET -u "$url/static/app.css") ;;
    read) options=(-X -k 1 -n 5 -z 32 -w 512 -y 1024 -u "$url/openapi.json") ;;
    *) fail "no such mode: $mode" ;;
  esac
  while [ -d "$folder" ] && [ ! -e "$folder/over" ]; do
    number=$((number + 1))
    slowhttptest "${options[@]}" -c "$connections" -r "$((connections / ramp))" -l "$((rounds * seconds + ramp))" -p 5 \
      -v 0 -g -o "$folder/$mode.$number" >/dev/null 2>&1 || true
  done
}

# The most connections that were open at once, and whether slowhttptest ever waited 5 seconds for an answer of its own.
figures() {
  local open refused=no
  open=$(tail -qn +2 "$folder/$1".*.csv | awk -F, '$4 > most { most = $4 } END { print most + 0 }')
  ! tail -qn +2 "$folder/$1".*.csv | awk -F, '{ print $5 }' | grep -qx 0 || refused=yes
  printf '%s | %s' "$open" "$refused"
}

measure() {
  local mode=$1 attack slow
  attack "$mode" &
  attack=$!
  sleep "$ramp"
  slow=$(light_median "$token" "$seconds" "$rounds")
  : >"$folder/over"
  wait "$attack"
  rm "$folder/over"
  printf '| %s | %s | %s | %s | %s |\n' "$mode" "$(ms "$quiet")" "$(ms "$slow")" \
    "$(awk "BEGIN { printf \"%.1f\", $slow / $quiet }")" "$(figures "$mode")"
}

start_server sqlite "sqlite://$folder/sqlite/portcullis.db" "" --log-level warn
create_user root --role admin
token=$(sign_in root | jq -r .access_token)
quiet=$(light_median "$token" "$seconds" "$rounds")

echo "| mode | p99 quiet, ms | p99 beside it, ms | ratio | most connections at once | server found away |"
echo "|---|---|---|---|---|---|"
for mode in headers body range read; do
  [ -n "$only" ] && [ "$only" != "$mode" ] || measure "$mode"
done
stop_server
