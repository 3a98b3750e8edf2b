#!/bin/sh
# Makes what the packages' own scripts would have made. $1: the root file system.
set -eu
root=$1

# DokuWiki's package links two folders of /usr/share/php that other packages bring; dpkg sorts that out, plain extraction cannot.
# So it is fetched here, and the links are left out.
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
chmod 755 "$packages"
(cd "$packages" && APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -q -o APT::Sandbox::User=root download dokuwiki)
dpkg-deb --fsys-tarfile "$packages"/dokuwiki_*.deb |
  tar -x -C "$root" --keep-directory-symlink --exclude=./usr/share/php --exclude=./usr/share/doc --exclude=./usr/share/dokuwiki/install.php

# PHP's modules: what phpenmod would have linked. The numbers are Debian's loading order.
for server in fpm cli; do
  folder=$root/etc/php/8.2/$server/conf.d
  mkdir -p "$folder"
  for module in "$root"/usr/share/php8.2-*/*/*.ini; do
    name=$(basename "$module")
    case $name in
      opcache.ini | pdo.ini) order=10 ;;
      xml.ini) order=15 ;;
      *) order=20 ;;
    esac
    cp "$module" "$folder/$order-$name"
  done
done
printf 'opcache.validate_timestamps = 1\nexpose_php = 0\n' > "$root/etc/php/8.2/fpm/php.ini"

# What a new site begins with; the running portal copies it into its volume.
site=$root/usr/share/p861/site
mkdir -p "$site" "$root/srv/site" "$root/var/lib/nginx"
cp -R "$root/var/lib/dokuwiki/data" "$site/data"
cp -R "$root/etc/dokuwiki" "$site/conf"
rm -f "$site/conf/acl.auth.php" "$site/conf/users.auth.php" "$site"/data/dont-panic*
cp -R "$root/etc/p861/pages/." "$site/data/pages/"
rm -rf "$root/etc/p861/pages"
cat > "$root/etc/dokuwiki/preload.php" <<'PHP'
<?php
if (!defined('DOKU_CONF')) define('DOKU_CONF', '/srv/site/conf/');
PHP
cat > "$site/conf/local.php" <<'PHP'
<?php
$conf['title'] = '青岛市市南区政务门户';
$conf['lang'] = 'zh';
$conf['savedir'] = '/srv/site/data';
$conf['useacl'] = 0;
$conf['updatecheck'] = 0;
$conf['userewrite'] = '1';
$conf['useslash'] = 1;
$conf['send404'] = 1;
$conf['license'] = '';
PHP
# The package gives them to www-data alone; the container's user may be another.
chmod -R a+rX "$site" "$root/etc/dokuwiki" "$root/var/lib/dokuwiki"
chown -R 33:33 "$root/srv/site"
