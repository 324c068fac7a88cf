#!/bin/sh
# kernel_pairs.sh TOOLS OUT - in a guest: how long the module's pairs of kmalloc and kfree take, by themselves and under
# drip (Benchmarks/harness/kernel.py): OUT/pairs-NUMBER.
tools=$1
out=$2
uname -r > "$out/release"
insmod "$tools/dripleak.ko" || exit 1

# The first time fills the allocator's own caches.
pairs() {
  echo pairs > /proc/dripleak && echo pairs > /proc/dripleak && cat /proc/dripleak > "$out/pairs-$1"
}

watched() {
  number=$1
  shift
  mkfifo /tmp/errors
  "$tools/drip" dump --kernel --max-live 100000 --max-sites 4096 --duration 1h -o /tmp/report "$@" 2> /tmp/errors &
  drip=$!
  exec 5< /tmp/errors
  while read -r line <&5; do
    case $line in *attached*) break ;; esac
  done
  pairs "$number"
  kill -TERM "$drip"
  cat <&5
  wait "$drip" || exit 1
  exec 5<&-
  rm /tmp/errors
}

pairs 0
watched 1 --backend rawtp --stacks never
watched 2 --backend rawtp --stacks always
watched 3 --backend kprobe --stacks never
watched 4 --backend fentry --stacks always
