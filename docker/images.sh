#!/usr/bin/env bash
# Builds the images of the Dockerfile with buildah, and says how large they are.
#   docker/images.sh TARGET...
#   BASE=IMAGE         Debian with Python 3.11 and venv; without it one is made with debootstrap
#   TAG=1.2.3          of the images, localhost/darkroom-TARGET; without it: the commit
#   CA_BUNDLE, PIP_CONFIG_FILE   given to the build as secrets, in no image
#   BUILD_FLAGS='...'  more for `buildah build`, such as --volume or --build-arg
set -euo pipefail
cd "$(dirname "$0")/.."
work=.cache/images
mkdir -p "$work"
command -v buildah >/dev/null || { echo "buildah is missing (Debian: buildah)" >&2; exit 2; }

if [ -z "${BASE:-}" ]; then
    BASE=localhost/darkroom-base:bookworm
    if ! buildah inspect --type image "$BASE" >/dev/null 2>&1; then
        command -v debootstrap >/dev/null || { echo "debootstrap is missing; or set BASE" >&2; exit 2; }
        [ -f "$work/rootfs.tar" ] || {
            debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
                bookworm "$work/rootfs" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >&2
            rm -rf "$work"/rootfs/var/cache/apt/archives/*.deb "$work"/rootfs/var/lib/apt/lists/*
            tar -C "$work/rootfs" -cf "$work/rootfs.tar" . && rm -rf "$work/rootfs"
        }
        container=$(buildah from scratch)
        buildah add --quiet "$container" "$work/rootfs.tar" / >/dev/null
        buildah commit --quiet --rm "$container" "$BASE" >/dev/null
    fi
fi

: >"$work/nothing"
for target in "$@"; do
    # shellcheck disable=SC2086  # BUILD_FLAGS are several words
    buildah build --quiet --isolation chroot --layers --format docker --target "$target" \
        --build-arg "BASE=$BASE" \
        --secret "id=ca,src=${CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}" \
        --secret "id=pip,src=${PIP_CONFIG_FILE:-$work/nothing}" \
        --label "org.opencontainers.image.revision=$(git rev-parse HEAD)" \
        ${BUILD_FLAGS:-} \
        --tag "localhost/darkroom-$target:${TAG:-$(git rev-parse --short HEAD)}" . >/dev/null
    echo "$target: built" >&2
done
buildah images --filter reference='localhost/darkroom-*' --format '{{.Name}}:{{.Tag}}  {{.Size}}'
