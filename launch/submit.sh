#!/usr/bin/env bash
# Submits a search to a running Ray cluster and follows its log.

set -euo pipefail

usage() {
    cat <<'TEXT'
usage: launch/submit.sh [-c CLUSTER | -a URL] [-s STORAGE] [-d] SPACE [SEARCH OPTION ...]

Runs `gazetune search SPACE --address auto --storage STORAGE SEARCH OPTION ...` on the head of a running cluster.
The search goes on when this script is stopped; `ray job stop ID` ends it.

  SPACE       a search space: a YAML file here, or the name of a shipped one (demo, pairs)
  -c CLUSTER  the file that `ray up` was given; its dashboard is reached through ssh (default: cluster.yaml)
  -a URL      the dashboard's address instead, for a cluster that was started in another way: http://127.0.0.1:8265
  -s STORAGE  folder of the results on the cluster, seen by all its nodes (default: /home/ubuntu/shared/runs)
  -d          submit only, do not follow the log
  -h          this text

Paths in SEARCH OPTIONs (data.source, ...) are paths on the cluster. The cluster's token is taken from
~/.ray/auth_token; a cluster without one needs RAY_AUTH_MODE=disabled.
TEXT
}

fail() {
    echo "submit.sh: $1" >&2
    exit 2
}

cluster=cluster.yaml
url=
storage=/home/ubuntu/shared/runs
follow=()
while getopts ':c:a:s:dh' option; do
    case $option in
        c) cluster=$OPTARG ;;
        a) url=$OPTARG ;;
        s) storage=$OPTARG ;;
        d) follow=(--no-wait) ;;
        h)
            usage
            exit 0
            ;;
        :) fail "-$OPTARG needs a value (-h tells more)" ;;
        *) fail "no option -$OPTARG (-h tells more)" ;;
    esac
done
shift $((OPTIND - 1))
[[ $# -ge 1 ]] || fail "which search space? (-h tells more)"
space=$1
shift

command -v ray >/dev/null || fail "the command ray is missing: pip install '.[aws]'"
export RAY_AUTH_MODE=${RAY_AUTH_MODE:-token}

folder=$(mktemp -d)
tunnel=
cleanup() {
    # Only what this script started.
    if [[ -n $tunnel ]]; then kill -- "-$tunnel" 2>/dev/null || true; fi
    rm -rf -- "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The job's working directory holds the space file and nothing else of this machine.
mkdir "$folder/job"
if [[ -f $space ]]; then
    cp -- "$space" "$folder/job/space.yaml"
    space=space.yaml
elif [[ $space == */* || $space == *.yaml || $space == *.yml ]]; then
    fail "there is no file '$space'"
fi

answers() {
    # Any HTTP answer will do, also the refusal of a call without the token.
    (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && read -r -t 5 line <&3 && [[ $line == HTTP/* ]]) \
        2>/dev/null
}

if [[ -z $url ]]; then
    [[ -f $cluster ]] || fail "there is no file '$cluster' (-c CLUSTER, or -a URL)"
    port=$((20000 + RANDOM % 10000))
    set -m # a process group of its own, so that the ssh below it ends too
    ray dashboard "$cluster" --port "$port" </dev/null >"$folder/tunnel.log" 2>&1 &
    tunnel=$!
    set +m
    for ((tries = 0; ; tries++)); do
        if answers "$port"; then break; fi
        if ! kill -0 "$tunnel" 2>/dev/null || ((tries >= 60)); then
            cat "$folder/tunnel.log" >&2
            echo "submit.sh: the dashboard of $cluster does not answer; is the cluster up (ray up $cluster)?" >&2
            exit 1
        fi
        sleep 1
    done
    url=http://127.0.0.1:$port
fi

ray job submit --address "$url" --working-dir "$folder/job" ${follow[@]+"${follow[@]}"} -- \
    gazetune search "$space" --address auto --storage "$storage" "$@"
