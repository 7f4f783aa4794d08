#!/bin/sh
# Post one file, a JSON object or an array of up to 100, until every event in it is settled.
#
#     API=https://… KEY=slc_… sh client.sh /v1/events events.json
#
# `curl --retry` is not enough: it sees the status of the whole answer, and a 207 may hold events to send again.
# This script does not pick those out. It sends the whole file again, which is safe (the same event id is the same
# event) but counts against the fleet's quota; client.py sends only unsettled events, and finds the event that spoils a file.
# Exit status: 0 all accepted; 3 all settled, some or all rejected; anything else: not settled. stderr shows the answer.
set -eu
: "${API:?}" "${KEY:?}"
route=$1
file=$2
[ -r "$file" ]

work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

leave() {
    cat "$work/answer" >&2
    exit "$1"
}

attempt=1
while :; do
    : >"$work/answer"
    : >"$work/headers"
    # The key goes through a pipe: every user of the machine can read a command's arguments.
    status=$(printf 'header = "x-api-key: %s"\n' "$KEY" | curl --config - --silent --show-error --max-time 35 \
        --header 'content-type: application/json' --data-binary "@$file" --dump-header "$work/headers" \
        --output "$work/answer" --write-out '%{http_code}' "$API$route") || status=000
    case $status in
        202) exit 0 ;;
        207) grep -Eq '"status": *"retry"' "$work/answer" || leave 3 ;;
        400 | 413) leave 3 ;;
        000 | 408 | 429 | 5??) ;; # it may or may not be stored, so send the same bytes again
        *) leave 1 ;;
    esac
    [ "$attempt" -lt 10 ] || leave 1
    asked=$(sed -n 's/^[Rr]etry-[Aa]fter: *\([1-9][0-9]\{0,3\}\)[[:space:]]*$/\1/p' "$work/headers" | tail -n 1)
    chance=$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')
    longest=$((attempt < 6 ? 1 << attempt : 60))
    sleep $((${asked:-0} + 1 + chance % longest))
    attempt=$((attempt + 1))
done
