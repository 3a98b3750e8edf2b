#!/bin/sh
# Makes what the packages' own scripts would have made. $1: the root file system.
set -eu
root=$1

# The static busybox is every tool of a shell; what a package brings itself wins.
"$root/bin/busybox" --list | while read -r tool; do
  [ -e "$root/usr/bin/$tool" ] || [ -e "$root/usr/sbin/$tool" ] || ln -s busybox "$root/usr/bin/$tool"
done

mkdir -p "$root/etc/ssl/certs" "$root/root" "$root/run" "$root/var" "$root/tmp" "$root/proc" "$root/sys" "$root/dev"
[ -e "$root/var/run" ] || ln -s /run "$root/var/run"
chmod 1777 "$root/tmp"
if [ -d "$root/usr/share/ca-certificates/mozilla" ]; then
  cat "$root"/usr/share/ca-certificates/mozilla/*.crt > "$root/etc/ssl/certs/ca-certificates.crt"
fi

cat > "$root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/srv:/bin/sh
postgres:x:999:999:postgres:/var/lib/postgresql:/bin/sh
p861:x:65532:65532:p861:/tmp:/bin/sh
nobody:x:65534:65534:nobody:/tmp:/bin/sh
PASSWD
cat > "$root/etc/group" <<'GROUP'
root:x:0:
tty:x:5:
www-data:x:33:
postgres:x:999:
p861:x:65532:
nogroup:x:65534:
GROUP
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"

# Nothing installs packages in a running image, and logs differ from build to build. (apt's own files mmdebstrap removes.)
rm -rf "$root/var/lib/dpkg" "$root/var/log"
mkdir -p "$root/var/log"
# These are copies of the building machine's; the kubelet gives each container its own.
: > "$root/etc/hostname"
: > "$root/etc/resolv.conf"
