#!/bin/sh
# Makes what the packages' own scripts would have made. $1: the root file system.
set -eu
root=$1

# Debian's own /usr/bin/psql and its like choose a version in Perl; there is only one here.
for tool in "$root"/usr/lib/postgresql/15/bin/*; do
  ln -sf "../lib/postgresql/15/bin/${tool##*/}" "$root/usr/bin/${tool##*/}"
done

mkdir -p "$root/run/postgresql" "$root/var/lib/postgresql/data"
chown -R 999:999 "$root/run/postgresql" "$root/var/lib/postgresql"
chmod 0775 "$root/run/postgresql"
