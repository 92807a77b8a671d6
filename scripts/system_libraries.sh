#!/bin/sh
# Install the system libraries that Qt, OpenGL and a virtual screen (Xvfb) need on Debian and Ubuntu, when they are
# missing and this user may install packages. Elsewhere, or without the right to install, say what is missing and go on.
set -u

command -v dpkg-query >/dev/null 2>&1 || exit 0

# "a|b" means: either name serves (Ubuntu 24.04 renamed some packages).
wanted="
xvfb xauth libgl1 libegl1 libopengl0 libglx-mesa0 libgl1-mesa-dri
libglib2.0-0|libglib2.0-0t64 libdbus-1-3 libfontconfig1 fonts-dejavu-core
libxkbcommon0 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1
libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0
"

installed() {
    dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q '^install ok installed$'
}

missing=""
for names in $wanted; do
    found=""
    for name in $(echo "$names" | tr '|' ' '); do
        installed "$name" && found=yes
    done
    [ -n "$found" ] || missing="$missing $names"
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    else
        echo "These system packages are missing and this user may not install them:$missing" >&2
        echo "Ask an administrator for: apt-get install$(echo "$missing" | sed 's/|[^ ]*//g')" >&2
        exit 0
    fi
fi

echo "Installing system packages:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
chosen=""
for names in $missing; do
    for name in $(echo "$names" | tr '|' ' '); do
        if apt-cache policy "$name" 2>/dev/null | grep -q 'Candidate: [0-9]'; then
            chosen="$chosen $name"
            break
        fi
    done
done
# shellcheck disable=SC2086  # a list of package names, meant to be split
$as_root apt-get install -y -qq --no-install-recommends $chosen >/dev/null || {
    echo "apt-get could not install:$chosen" >&2
    exit 1
}
