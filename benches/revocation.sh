#!/usr/bin/env bash
# Measures how soon the end of a session counts on another node, under load: from the answer of the node that ended it to
# the last request that the other one let through. Two nodes of one deployment, SQLite + Redis and PostgreSQL + Redis, wrk on
# both. The node that ends is asked too: there the very next request must be refused. Needs wrk, jq and python3; two minutes.
#
#   benches/revocation.sh                  both; ENDS=1000 CONNECTIONS=8
#   benches/revocation.sh postgres+redis   only these stores
#
# PORTCULLIS=<binary> measures another build.
set -euo pipefail
cd "$(dirname "$0")/.."
source benches/stores.sh
command -v python3 >/dev/null || fail "missing: python3"

cat >"$folder/revocation.py" <<'PYTHON'
import http.client, json, sys, threading, time

ends, password, ending, other = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]

class Node:
    def __init__(self, place):
        self.connection = http.client.HTTPConnection(place)
        self.connection.connect()

    def ask(self, method, path, token=None, body=None):
        headers = {"content-type": "application/json"}
        if token:
            headers["authorization"] = "Bearer " + token
        self.connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

near, far = Node(ending), Node(other)
delays, wrong = [], 0
for number in range(ends):
    status, body = near.ask("POST", "/api/v1/auth/login", body={"username": "anna", "password": password})
    assert status == 200, (status, body)
    tokens = json.loads(body)
    token = tokens["access_token"]
    # Both remember it.
    for node in (near, far, near, far):
        status, body = node.ask("GET", "/api/v1/me", token)
        assert status == 200, (status, body)
    status, body = near.ask("POST", "/api/v1/auth/logout", token, {"refresh_token": tokens["refresh_token"]})
    assert status == 204, (status, body)
    ended = last = time.monotonic()
    wrong += near.ask("GET", "/api/v1/me", token)[0] != 401
    while True:
        began = time.monotonic()
        if far.ask("GET", "/api/v1/me", token)[0] == 401:
            break
        last = began
    delays.append((last - ended) * 1000)
    if sys.stderr.isatty():
        sys.stderr.write("\r%d of %d" % (number + 1, ends))
delays.sort()
at = lambda part: delays[min(len(delays) - 1, int(len(delays) * part))]
print("%.2f %.2f %.2f %d" % (at(0.5), at(0.99), delays[-1], wrong))
PYTHON

ends=${ENDS:-1000}
connections=${CONNECTIONS:-8}
export PORTCULLIS_SECRET_KEY
PORTCULLIS_SECRET_KEY=$("$PORTCULLIS" secret generate)

measure() {
  local pair=$1 first second first_url token loads=() load
  [ -n "$3" ] || return 0
  # Hashing is not what is measured.
  local flags=(--log-level warn --argon2-memory-kib 64 --argon2-iterations 1 --login-rate 1000000/1s)
  start_server "$pair" "$2" "$3" "${flags[@]}"
  first=$server first_url=$url
  create_user anna
  create_user others
  public_url=$first_url start_server "$pair-second" "$2" "$3" "${flags[@]}"
  second=$server
  token=$(sign_in others | jq -r .access_token)
  for load in "$first_url" "$url"; do
    wrk -t1 "-c$connections" -d3600s -H "authorization: Bearer $token" "$load/api/v1/me" >/dev/null &
    loads+=($!)
    pids+=($!)
  done
  set -- $(python3 "$folder/revocation.py" "$ends" "$password" "${first_url#http://}" "${url#http://}")
  printf '| %s | %s | %s | %s | %s |\n' "$pair" "$1" "$2" "$3" "$4"
  kill "${loads[@]}" "$first" "$second"
  wait "${loads[@]}" "$first" "$second" || true
}

echo "| stores | p50, ms | p99, ms | longest, ms | let through by the node that ended |"
echo "|---|---:|---:|---:|---:|"
for_each_pair measure "${1:-}"
