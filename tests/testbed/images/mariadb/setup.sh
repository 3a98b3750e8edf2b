#!/bin/sh
# Makes what the packages' own scripts would have made. $1: the root file system.
set -eu
root=$1

echo 'mysql:x:998:998:mysql:/var/lib/mysql:/bin/sh' >> "$root/etc/passwd"
echo 'mysql:x:998:' >> "$root/etc/group"
mkdir -p "$root/run/mysqld" "$root/var/lib/mysql"
chown -R 998:998 "$root/run/mysqld" "$root/var/lib/mysql"
