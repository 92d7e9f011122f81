#!/usr/bin/env bash
# Shows that the histories (tests/portcullis/histories) find a protocol that is broken: applies each patch of
# tests/portcullis/histories/patches to a copy of the sources, runs the histories there, and demands that one fails. Each
# patch is built anew: that takes many minutes, and is no part of any other run.
#
#   tests/histories_can_fail.sh             every patch
#   tests/histories_can_fail.sh no_stamp    only the patches whose name contains this
#
# What is patched, and which other tests find it:
#   an_update_that_revives  a load installs what it read before the session ended
#                           races::, and protocol_model:: (UpdateRevives)
#   no_epoch_check          a copy of an earlier epoch is believed      nodes::, protocol_model:: (NoEpochCheck)
#   no_stamp                a Redis that was restarted is taken for the same
#                           redis_memory::, redis_failover::, protocol_model:: (NoStamp)
#   no_feed                 rows of the feed are read and not carried out
#                           nodes::, redis_failover::, protocol_model:: (NoFeed)
#   rotation_in_two_steps   without Redis, the time of a rotation is noted after its commit
#                           races::, refresh::, protocol_model:: (TwoSteps)
# A memory that is believed while its node hears nothing is found by the model alone (NoChannelCheck): the feed, which is
# read within the second that an act may take to reach other nodes, hides it from every client.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "tests/histories_can_fail.sh: $*" >&2
  exit 1
}

source tests/postgres.sh

copy=$(mktemp -d)
git archive HEAD | tar -x -C "$copy"
start_postgres
trap 'stop_postgres; rm -rf "$copy"' EXIT

histories() {
  (cd "$copy" && cargo test --locked --test portcullis histories::in_every) >"$copy/$1.log" 2>&1
}
# What fails without a patch is found by nothing.
histories unchanged || fail "unchanged: $(tail -20 "$copy/unchanged.log")"

missed=()
for patch in tests/portcullis/histories/patches/*"${1:-}"*.patch; do
  [ -e "$patch" ] || fail "no patch is named so"
  name=$(basename "$patch" .patch)
  patch --quiet --strip=1 --directory="$copy" <"$patch" || fail "$name does not apply any more"
  (cd "$copy" && cargo test --locked --no-run --test portcullis) || fail "$name does not compile any more"
  if histories "$name"; then
    echo "$name: not found"
    missed+=("$name")
  else
    grep -q 'this history fails' "$copy/$name.log" || fail "$name: failed otherwise: $(tail -20 "$copy/$name.log")"
    echo "$name: found"
    sed -n '/this history fails/,/^ *0 to/p' "$copy/$name.log" | head -20
  fi
  patch --quiet --strip=1 --reverse --directory="$copy" <"$patch"
done
[ ${#missed[@]} = 0 ] || fail "not found: ${missed[*]}"
