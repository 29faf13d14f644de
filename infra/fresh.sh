#!/usr/bin/env bash
# Run `make run ONCE=1` and `make test` as a new user would: in a bare Debian 12 that has python3, make, git and
# ca-certificates, from a plain clone of the commit that is checked out.
#
# debootstrap makes the system under .local/fresh. Mounts exist in a mount namespace of this script only, and processes
# in its process namespace, so both end with it. Root is required.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "error: $*" >&2; exit 1; }

suite=bookworm
packages=python3,make,git,ca-certificates
work=$PWD/.local/fresh
root=$work/root

if [ "${1:-}" != --inside ]; then
    [ "$(id -u)" = 0 ] || fail "make fresh must run as root: debootstrap and chroot require it."
    [ "$(uname -s)" = Linux ] || fail "make fresh requires Linux."
    command -v debootstrap >/dev/null || infra/setup.sh --tool debootstrap
    [ -z "$(git status --porcelain)" ] || echo "Uncommitted changes are not part of the clone." >&2
    exec unshare --mount --pid --fork --kill-child --propagation private "$0" --inside
fi

seconds() { date +%s.%N; }
elapsed() { awk -v began="$1" -v ended="$(seconds)" 'BEGIN {printf "%.0f", ended - began}'; }

# The machine's package sources, with what they require: proxies, certificates, an index of pip or npm. The default
# sources of Debian, pip and npm are used where nothing is configured.
hand_in_package_settings() {
    local file
    for file in /etc/pip.conf /etc/xdg/pip /root/.config/pip /root/.pip/pip.conf /root/.npmrc /etc/npmrc /etc/resolv.conf; do
        [ -e "$file" ] || continue
        mkdir -p "$root$(dirname "$file")"
        cp -rL "$file" "$root$(dirname "$file")/"
    done
    if [ -f /etc/apt/sources.list.d/debian.sources ]; then
        cp /etc/apt/sources.list.d/debian.sources "$root/etc/apt/sources.list.d/"
        : >"$root/etc/apt/sources.list"
    elif [ -s /etc/apt/sources.list ]; then
        cp /etc/apt/sources.list "$root/etc/apt/sources.list"
    fi
    for file in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
        ! grep -qis proxy "$file" || cp "$file" "$root/etc/apt/apt.conf.d/"
    done
    mkdir -p "$root/usr/local/share/ca-certificates"
    cp -rL /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
    chroot "$root" update-ca-certificates >/dev/null 2>&1
}

# Only settings of package clients pass into the bare system; everything else is as after a log-in.
in_root() {
    local settings=()
    while IFS= read -r line; do settings+=("$line"); done < <(
        env | grep -iE '^(pip_|npm_config_|(https?|no|all)_proxy=|ssl_cert|requests_ca_bundle|curl_ca_bundle|node_extra_ca_certs|git_ssl_cainfo)' |
            grep -ivE '^pip_(find_links|no_index)' || true
    )
    env -i HOME=/root USER=root LOGNAME=root TERM=dumb LANG=C.UTF-8 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${settings[@]}" \
        chroot "$root" /bin/bash -c "$1"
}

mount_system() {
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount --make-rslave "$root/dev"
    mountpoint -q "$root/dev/pts" || mount -t devpts devpts "$root/dev/pts"
    mkdir -p "$root/dev/shm"
    mountpoint -q "$root/dev/shm" || mount -t tmpfs tmpfs "$root/dev/shm"
}

count_packages() { chroot "$root" dpkg-query -f '.\n' -W | wc -l; }

mkdir -p "$work"
rm -rf --one-file-system "$root"
echo "1/4 Making a bare Debian 12 in .local/fresh/root"
# The sources list names a mirror; without one debootstrap uses its own default.
mirror=$(awk '/^URIs:/ {print $2; exit} /^deb / {for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) {print $i; exit}}' \
    /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null || true)
began=$(seconds)
debootstrap --variant=minbase --include="$packages" "$suite" "$root" ${mirror:+"$mirror"} >"$work/debootstrap.log" 2>&1 || {
    tail -n 15 "$work/debootstrap.log" >&2
    fail "debootstrap could not make the system. The full output is in .local/fresh/debootstrap.log"
}
# debootstrap leaves it to the installer.
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
mount_system
hand_in_package_settings
bare=$(count_packages)
for tool in node npm chromium; do
    ! chroot "$root" /bin/sh -c "command -v $tool" >/dev/null || fail "the bare system already has $tool."
done
echo "    $(elapsed "$began") s, $bare packages, without node, npm and chromium"

echo "2/4 Cloning $(git rev-parse --short HEAD)"
git clone --quiet --no-hardlinks "file://$PWD" "$root/root/slidehook"
git -C "$root/root/slidehook" checkout --quiet --detach "$(git rev-parse HEAD)"

echo "3/4 make run ONCE=1"
began=$(seconds)
in_root 'cd /root/slidehook && make run ONCE=1' 2>&1 | tee "$work/run.log" | sed 's/^/    /' || fail "make run failed. The output is in .local/fresh/run.log"
run_seconds=$(elapsed "$began")
after_run=$(count_packages)

echo "4/4 make test"
began=$(seconds)
in_root 'cd /root/slidehook && CI=1 make test' >"$work/test.log" 2>&1 || {
    tail -n 40 "$work/test.log"
    fail "make test failed. The output is in .local/fresh/test.log"
}
test_seconds=$(elapsed "$began")
after_test=$(count_packages)
closing=$(grep -E '^=+ .*passed.* =+$' "$work/test.log" | tail -n 1)
echo "    $closing"
! grep -qE '[0-9]+ skipped' <<<"$closing" || fail "make test skipped tests."

echo "make run ONCE=1: $run_seconds s, $((after_run - bare)) Debian packages installed"
echo "make test: $test_seconds s, $((after_test - after_run)) more Debian packages installed"
echo "fresh: ok"
