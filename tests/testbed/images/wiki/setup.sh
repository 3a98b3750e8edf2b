#!/bin/sh
# Makes what the packages' own scripts would have made. $1: the root file system.
set -eu
root=$1

# PHP's modules: what phpenmod would have linked. The numbers are Debian's loading order.
for server in fpm cli; do
  folder=$root/etc/php/8.2/$server/conf.d
  mkdir -p "$folder"
  for module in "$root"/usr/share/php8.2-*/*/*.ini; do
    name=$(basename "$module")
    case $name in
      mysqlnd.ini | opcache.ini | pdo.ini) order=10 ;;
      xml.ini) order=15 ;;
      *) order=20 ;;
    esac
    cp "$module" "$folder/$order-$name"
  done
done
printf 'opcache.validate_timestamps = 1\nexpose_php = 0\n' > "$root/etc/php/8.2/fpm/php.ini"
ln -sf php8.2 "$root/usr/bin/php"

# What a wiki keeps is in its volume.
wiki=$root/var/lib/mediawiki
rm -rf "$wiki/images"
ln -sfn /srv/wiki/images "$wiki/images"
ln -sfn /srv/wiki/LocalSettings.php "$wiki/LocalSettings.php"
# The image leaves the extensions out that these name.
rm -rf "$wiki/extensions"
mkdir -p "$wiki/extensions" "$root/srv/wiki" "$root/var/cache/mediawiki" "$root/var/lib/nginx"
chown -R 33:33 "$root/srv/wiki" "$root/var/cache/mediawiki"
