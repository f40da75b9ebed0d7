#!/bin/sh
# What some tests need from the system:
#   cc      compiles the benchmark's load generator
#   strace  shows the fsync that comes before an acknowledgement
#   tmpfs   a small file system that a test fills up (mounting one takes root)
#   node    runs the tests of the live page's pure modules; npm gets axe-core for those of its accessibility
#   chromium  shows the live page
#   redis-server, redis-sentinel  the log on Redis
#   nginx   stands before servers, with the configuration in deploy/
#   systemd-analyze  reads the units in deploy/
#   netns   network namespaces, to cut a link between servers (ip, and root)
#
# Missing programs are installed with apt where that needs no password. What is still missing
# is said in one line and its tests are skipped; with CI=true it is an error.
#
#   system_prerequisites.sh              install, report
#   system_prerequisites.sh --has NAME   is this one there? (the tests ask)
set -eu

have() {
  case $1 in
    tmpfs) mount_tmpfs ;;
    netns) add_namespace ;;
    strace) strace -o /dev/null true ;; # present, and allowed to trace
    *) command -v "$1" ;;
  esac >/dev/null 2>&1
}

mount_tmpfs() {
  [ "$(id -u)" -eq 0 ] || return 1
  folder=$(mktemp -d)
  status=0
  mount -t tmpfs -o size=64k tmpfs "$folder" && umount "$folder" || status=1
  rmdir "$folder"
  return $status
}

add_namespace() {
  name=runcast-probe-$$
  ip netns add "$name" && ip netns delete "$name"
}

missing() {
  for name in cc strace tmpfs node npm chromium redis-server redis-sentinel nginx systemd-analyze; do
    have "$name" || printf ' %s' "$name"
  done
}

packages_for() {
  for name in "$@"; do
    case $name in
      cc) echo gcc libc6-dev ;;
      strace) command -v strace >/dev/null || echo strace ;;
      node) echo nodejs ;;
      npm | chromium | redis-server | redis-sentinel | nginx) echo "$name" ;;
      systemd-analyze) echo systemd ;;
    esac
  done
}

apt_install() {
  command -v apt-get >/dev/null || return 0
  root=
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || return 0
    root="sudo -n"
  fi
  echo "Installing with apt:" "$@"
  $root env DEBIAN_FRONTEND=noninteractive sh -c '
    apt-get install -qq --no-install-recommends "$@" ||
      { apt-get update -qq && apt-get install -qq --no-install-recommends "$@"; }
  ' apt "$@" >/dev/null 2>&1 || echo "apt could not install:" "$@" >&2
}

if [ "${1:-}" = --has ]; then
  have "$2"
  exit
fi

absent=$(missing)
[ -n "$absent" ] || exit 0

# shellcheck disable=SC2086  # words are wanted here and below
packages=$(packages_for $absent)
if [ -n "$packages" ]; then
  # shellcheck disable=SC2086
  apt_install $packages
  absent=$(missing)
  [ -n "$absent" ] || exit 0
fi

if [ "${CI:-}" = true ]; then
  echo "Missing on this system, and needed when CI=true:$absent" >&2
  exit 1
fi
echo "Missing on this system:$absent; the tests marked needs(...) for it are skipped." >&2
