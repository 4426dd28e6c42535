#!/bin/sh
# Installs K3s or RKE2 on this machine and starts it. Placed by cloud-init, run once by it, safe to run again.
#
# Parameters come from /etc/paddock/install.env alone, one NAME=value a line, read as text and never evaluated:
#   PADDOCK_DISTRIBUTION  k3s or rke2
#   PADDOCK_VERSION       such as v1.35.7+rke2r1
#   PADDOCK_ROLE          server or agent
#   PADDOCK_UNIT          the systemd unit that runs the role
#   PADDOCK_ARCHITECTURE  amd64 or arm64: what the artifact was built for
#   PADDOCK_SOURCE        where the artifact lies
#   PADDOCK_SHA256        its SHA-256, where it is pinned
#   PADDOCK_SHA256_URL    else: the release's own file of checksums
#   PADDOCK_ATTEMPTS      how often a download is tried (default 30)
#   PADDOCK_DELAY         seconds between two attempts (default 10)
#
# Without a checksum nothing is installed. For a machine without a way out, the image brings the artifact, and if need be
# the file of checksums, in /var/lib/paddock/artifacts/VERSION/; then nothing is downloaded.
# PADDOCK_ROOT in the environment puts another folder before every path (for tests).

set -eu
umask 022

root=${PADDOCK_ROOT:-}
env_file=$root/etc/paddock/install.env
attempts=30
delay=10
distribution='' version='' role='' unit='' architecture='' source_url='' sha256='' sha256_url=''

say() { printf 'paddock: %s\n' "$*"; }
fail() { printf 'paddock: %s\n' "$*" >&2; exit 1; }

read_parameters() {
    [ -r "$env_file" ] || fail "$env_file cannot be read"
    while IFS= read -r line || [ -n "$line" ]; do
        value=${line#*=}
        case ${line%%=*} in
            PADDOCK_DISTRIBUTION) distribution=$value ;;
            PADDOCK_VERSION) version=$value ;;
            PADDOCK_ROLE) role=$value ;;
            PADDOCK_UNIT) unit=$value ;;
            PADDOCK_ARCHITECTURE) architecture=$value ;;
            PADDOCK_SOURCE) source_url=$value ;;
            PADDOCK_SHA256) sha256=$value ;;
            PADDOCK_SHA256_URL) sha256_url=$value ;;
            PADDOCK_ATTEMPTS) attempts=$value ;;
            PADDOCK_DELAY) delay=$value ;;
        esac
    done <"$env_file"
}

check_parameters() {
    case $distribution in k3s | rke2) ;; *) fail "unknown distribution '$distribution'" ;; esac
    case $role in server | agent) ;; *) fail "unknown role '$role'" ;; esac
    case $version in v[0-9]*) ;; *) fail "unknown version '$version'" ;; esac
    # Both become parts of paths.
    case $version$unit in '' | */* | *' '*) fail "version '$version' or unit '$unit' cannot be used" ;; esac
    [ -n "$source_url" ] || fail "no source is given"
    [ -n "$sha256$sha256_url" ] || fail "no checksum is given: refusing to install what cannot be checked"
    case $(uname -m) in x86_64) machine=amd64 ;; aarch64) machine=arm64 ;; *) machine=$(uname -m) ;; esac
    [ "$machine" = "$architecture" ] || fail "the artifact is for $architecture, this machine is $machine"
}

# fetch URL FILE: one attempt, bounded in time, never leaving a partial FILE behind.
fetch() {
    if command -v curl >/dev/null 2>&1; then
        curl --fail --silent --show-error --location --connect-timeout 15 --speed-time 60 --speed-limit 1024 \
            --max-time 1800 --output "$2.partial" "$1" || { rm -f "$2.partial"; return 1; }
    elif command -v wget >/dev/null 2>&1; then
        wget -q -T 60 -O "$2.partial" "$1" || { rm -f "$2.partial"; return 1; }
    else
        fail "neither curl nor wget is installed"
    fi
    mv "$2.partial" "$2"
}

sum_of() { sha256sum "$1" | cut -d ' ' -f 1; }

# A file of checksums that was of no use is fetched anew at the next attempt.
forget_checksums() { [ -n "$sha256" ] || rm -f "$checksums"; }

# find_checksum: sets $wanted, from the pin, else from the file of checksums (lines of "SUM  NAME" or "SUM *NAME").
find_checksum() {
    wanted=$sha256
    [ -n "$wanted" ] || [ -r "$checksums" ] || fetch "$sha256_url" "$checksums" || return 1
    if [ -z "$wanted" ]; then
        wanted=$(awk -v name="${artifact##*/}" '$2 == name || $2 == "*" name { print $1; exit }' "$checksums")
    fi
    case $wanted in *[!0-9a-f]*) wanted='' ;; esac
    [ ${#wanted} -eq 64 ] && return 0
    say "no SHA-256 of ${artifact##*/} was found"
    forget_checksums
    return 1
}

# obtain: one attempt to have the artifact, checked. What does not match is removed, so that nothing later can use it.
obtain() {
    find_checksum || return 1
    [ -r "$artifact" ] || fetch "$source_url" "$artifact" || return 1
    [ "$(sum_of "$artifact")" = "$wanted" ] && return 0
    say "checksum mismatch: ${artifact##*/} is not $wanted; removed"
    rm -f "$artifact"
    forget_checksums
    return 1
}

obtain_artifact() {
    folder=$root/var/lib/paddock/artifacts/$version
    artifact=$folder/${source_url##*/}
    checksums=$folder/${sha256_url##*/}
    mkdir -p "$folder"
    attempt=1
    until obtain; do
        [ "$attempt" -lt "$attempts" ] || fail "no checked artifact after $attempt attempts: $source_url"
        attempt=$((attempt + 1))
        sleep "$delay"
    done
}

# place FILE: the K3s binary under its final name, whole at every moment, and the names it also answers to.
place_k3s() {
    mkdir -p "$root/usr/local/bin"
    cp "$artifact" "$root/usr/local/bin/.k3s.new"
    chmod 0755 "$root/usr/local/bin/.k3s.new"
    mv "$root/usr/local/bin/.k3s.new" "$root/usr/local/bin/k3s"
    for name in kubectl crictl ctr; do
        [ -e "$root/usr/local/bin/$name" ] || ln -sf k3s "$root/usr/local/bin/$name"
    done
}

# The notify type tells systemd of a server that is ready; an agent tells nothing.
write_k3s_unit() {
    case $role in server) type='notify' ;; *) type='exec' ;; esac
    mkdir -p "$root/etc/systemd/system"
    cat >"$root/etc/systemd/system/$unit.service" <<UNIT
[Unit]
Description=Kubernetes node of a Paddock guest cluster (K3s $role)
Wants=network-online.target
After=network-online.target

[Service]
Type=$type
EnvironmentFile=-/etc/default/%N
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/k3s $role
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s

[Install]
WantedBy=multi-user.target
UNIT
}

# RKE2's archive is laid out for /usr/local and brings its units.
place_rke2() {
    mkdir -p "$root/usr/local"
    tar -xzf "$artifact" -C "$root/usr/local"
}

install_artifact() {
    case $distribution in
        k3s) place_k3s; write_k3s_unit ;;
        rke2) place_rke2 ;;
    esac
    printf '%s %s\n' "$wanted" "$unit" >"$root/var/lib/paddock/installed"
}

installed() {
    [ -x "$root/usr/local/bin/$distribution" ] || return 1
    [ "$(cat "$root/var/lib/paddock/installed" 2>/dev/null)" = "$wanted $unit" ]
}

# --no-block: a server may wait minutes for its peers, and cloud-init is to finish meanwhile.
start_unit() {
    systemctl daemon-reload
    systemctl enable "$unit.service"
    systemctl "$1" --no-block "$unit.service"
}

read_parameters
check_parameters
obtain_artifact
if installed; then
    say "$distribution $version is installed already"
    start_unit start
else
    install_artifact
    say "$distribution $version is installed"
    start_unit restart
fi
say "$unit was told to start"
