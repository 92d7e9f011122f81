# A PostgreSQL of our own, for scripts that source this and have a `fail`. It ends with the script.

# The folder of the newest one that is installed, or nothing.
postgres_bin() {
  local folder
  for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV); do
    if [ -x "$folder/initdb" ]; then
      echo "$folder"
      return
    fi
  done
}

postgres_folder=
postgres_pid=

stop_postgres() {
  if [ -n "$postgres_pid" ]; then
    kill -INT "$postgres_pid" 2>/dev/null || true
    wait "$postgres_pid" 2>/dev/null || true
  fi
  rm -rf "$postgres_folder"
}

# Exports TEST_POSTGRES_URL.
start_postgres() {
  local bin port as_postgres=()
  bin=$(postgres_bin)
  postgres_folder=$(mktemp -d)
  trap stop_postgres EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM

  # PostgreSQL refuses to run as root. `setpriv`, unlike `runuser` and `su`, leaves no process in between, so that the
  # pid is the server's own.
  if [ "$(id -u)" = 0 ]; then
    as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups)
    chown postgres: "$postgres_folder"
  fi
  if ! (cd / && "${as_postgres[@]}" "$bin/initdb" --pgdata="$postgres_folder/data" --username=postgres --auth=trust \
    --encoding=UTF8 --locale=C --no-sync >"$postgres_folder/initdb.log" 2>&1); then
    cat "$postgres_folder/initdb.log" >&2
    fail "initdb failed"
  fi

  # It binds the port itself, and another is tried where that is taken: below those that the kernel gives to connections.
  local first
  read -r first _ </proc/sys/net/ipv4/ip_local_port_range
  [ "$first" -gt 20000 ] || first=32768
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    port=$((first - 1 - RANDOM % 5000))
    (
      cd /
      exec "${as_postgres[@]}" "$bin/postgres" -D "$postgres_folder/data" -p "$port" -k "$postgres_folder" \
        -c listen_addresses=127.0.0.1 -c fsync=off -c synchronous_commit=off -c full_page_writes=off \
        -c "max_connections=$((100 + 50 * ${RUST_TEST_THREADS:-$(nproc)}))" -c shared_buffers=64MB
    ) >"$postgres_folder/postgres.log" 2>&1 &
    postgres_pid=$!
    for _ in $(seq 600); do
      if "$bin/pg_isready" -q -h "$postgres_folder" -p "$port"; then
        export TEST_POSTGRES_URL="postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable"
        return
      fi
      kill -0 "$postgres_pid" 2>/dev/null || break
      sleep 0.1
    done
    kill "$postgres_pid" 2>/dev/null || true
    postgres_pid=
  done
  cat "$postgres_folder/postgres.log" >&2
  fail "PostgreSQL did not start"
}
