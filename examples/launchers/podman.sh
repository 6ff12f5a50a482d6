#!/bin/sh
# A launcher for `forebay up --launcher command=examples/launchers/podman.sh`: each instance is a container. It needs podman and jq.
# docs/instances.md describes the verbs, their input and the expected output.
#
# FOREBAY_IMAGE_MAP names a file with a line for each image: `ami-... docker.io/library/nginx:1.27`.
# Containers share the machine's network, because load balancers reach them at loopback addresses: they listen on FOREBAY_ADDRESS and PORT.
set -eu

map=${FOREBAY_IMAGE_MAP:-/etc/forebay/images}
label=forebay-launcher
verb=${1:?a verb is missing}
input=$(cat)

field() {
    printf '%s' "$input" | jq -r "$1"
}

id=$(field '.id // ""')
name=forebay-$id

# Prints the run that the container was created for; nothing if there is no container.
run_of() {
    podman container inspect --format '{{index .Config.Labels "run"}}' "$name" 2>/dev/null || true
}

start() {
    run=$(field .run)
    if [ "$(run_of)" = "$run" ]; then
        # A repeated call: this run was started before, and must not start again even if it has ended.
        return
    fi
    image_id=$(field .imageId)
    image=$(awk -v id="$image_id" '$1 == id { print $2 }' "$map")
    if [ -z "$image" ]; then
        echo "$map has no line for $image_id" >&2
        exit 1
    fi
    podman rm --force --ignore "$name" >/dev/null
    env_file=$(mktemp)
    trap 'rm -f "$env_file"' EXIT
    field '.environment | to_entries[] | "\(.key)=\(.value)"' >"$env_file"
    podman run --detach --name "$name" --network host --env-file "$env_file" \
        --label "$label=1" --label "id=$id" --label "run=$run" "$image" >/dev/null
}

list() {
    podman ps --all --filter "label=$label" --format json | jq '[.[] | {
        id: .Labels.id,
        run: (.Labels.run | tonumber),
        state: ({
            "created": "starting", "initialized": "starting", "running": "running", "paused": "paused", "stopping": "stopping"
        }[.State] // "stopped"),
        reason: "the container is \(.State), with status \(.ExitCode)"
    }]'
}

case $verb in
start) start ;;
# In the background: `stop` must return at once, and podman waits for the container after this script has ended.
stop) (podman unpause "$name" || true; podman stop --time 30 "$name") >/dev/null 2>&1 & ;;
pause) podman pause "$name" >/dev/null ;;
resume) podman unpause "$name" >/dev/null ;;
remove) podman rm --force --ignore "$name" >/dev/null ;;
list) list ;;
*)
    echo "$verb is not a launcher's verb" >&2
    exit 1
    ;;
esac
