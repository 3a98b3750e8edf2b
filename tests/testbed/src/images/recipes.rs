//! What each image is made from. The files stand in tests/testbed/images.

use super::oci::Config;
use super::rootfs::Rootfs;
use super::{MARIADB, PORTAL, POSTGRES, WIKI};

const FINISH_BASE: &str = include_str!("../../images/base/setup.sh");

/// Perl and debconf come as dependencies of packages whose scripts use them; here no such script runs.
const NO_PERL: [&str; 6] =
    ["/usr/bin/perl*", "/usr/share/perl*", "/usr/lib/*/perl*", "/usr/lib/*/libperl*", "/usr/share/postgresql-common/*", "/usr/share/pam*"];

/// libc, certificates and a shell: what a compiled program needs, and a person who looks for the cause of something.
pub const BASE: Rootfs = Rootfs {
    name: "p861-base",
    packages: &["busybox-static", "ca-certificates", "libc6", "libgcc-s1"],
    // ca-certificates brings openssl for its own scripts.
    excluded: &["/usr/bin/openssl", "/usr/lib/*/libcrypto*", "/usr/lib/*/libssl*", "/usr/lib/*/engines-3/*", "/usr/lib/*/ossl-modules/*"],
    files: &[],
    scripts: &[FINISH_BASE],
};

const POSTGRES_ROOTFS: Rootfs = Rootfs {
    name: "p861-postgres",
    packages: &["busybox-static", "libc-bin", "postgresql-15", "postgresql-client-15", "postgresql-contrib", "tzdata"],
    excluded: &[
        NO_PERL[0],
        NO_PERL[1],
        NO_PERL[2],
        NO_PERL[3],
        NO_PERL[4],
        NO_PERL[5],
        // Compiling queries at run time brings 200 MB; the start script turns it off.
        "/usr/lib/*/libLLVM*",
        "/usr/lib/llvm*",
        "/usr/lib/*/libz3*",
        "/usr/lib/postgresql/15/lib/bitcode/*",
        "/usr/lib/postgresql/15/lib/llvmjit*",
    ],
    files: &[("/usr/local/bin/postgres-start", 0o755, include_str!("../../images/postgres/postgres-start"))],
    scripts: &[FINISH_BASE, include_str!("../../images/postgres/setup.sh")],
};

const PORTAL_ROOTFS: Rootfs = Rootfs {
    name: "p861-portal",
    // dokuwiki itself is fetched by the setup script, which says why.
    packages: &[
        "busybox-static",
        "javascript-common",
        "libjs-jquery",
        "libjs-jquery-cookie",
        "libjs-jquery-ui",
        "libphp-simplepie",
        "nginx",
        "php-geshi",
        "php-phpseclib",
        "php-random-compat",
        "php8.2-cli",
        "php8.2-fpm",
        "php8.2-gd",
        "php8.2-mbstring",
        "php8.2-pgsql",
        "php8.2-xml",
    ],
    excluded: &[NO_PERL[0], NO_PERL[1], NO_PERL[2], NO_PERL[3], NO_PERL[5], "/usr/lib/*/systemd/*", "/usr/lib/udev/*", "/usr/share/fonts/*"],
    files: &[
        ("/usr/local/bin/serve", 0o755, include_str!("../../images/portal/serve")),
        ("/usr/local/bin/portal", 0o755, include_str!("../../images/portal/portal")),
        ("/etc/p861/nginx.conf", 0o644, include_str!("../../images/portal/nginx.conf")),
        ("/etc/p861/php-fpm.conf", 0o644, include_str!("../../images/portal/php-fpm.conf")),
        ("/etc/p861/site/portal.conf", 0o644, include_str!("../../images/portal/site.conf")),
        ("/etc/p861/pages/start.txt", 0o644, include_str!("../../images/portal/pages/start.txt")),
        ("/etc/p861/pages/guide/approval.txt", 0o644, include_str!("../../images/portal/pages/guide/approval.txt")),
        ("/etc/p861/pages/news/2026.txt", 0o644, include_str!("../../images/portal/pages/news/2026.txt")),
        ("/etc/p861/pages/en/start.txt", 0o644, include_str!("../../images/portal/pages/en/start.txt")),
    ],
    scripts: &[FINISH_BASE, include_str!("../../images/portal/setup.sh")],
};

const MARIADB_ROOTFS: Rootfs = Rootfs {
    name: "p861-mariadb",
    packages: &["busybox-static", "libc-bin", "mariadb-client", "mariadb-client-core", "mariadb-common", "mariadb-server-core", "tzdata"],
    excluded: &[NO_PERL[0], NO_PERL[1], NO_PERL[2], NO_PERL[3], NO_PERL[5], "/etc/mysql/mariadb.conf.d/*"],
    files: &[
        ("/usr/local/bin/mariadb-start", 0o755, include_str!("../../images/mariadb/mariadb-start")),
        ("/etc/mysql/my.cnf", 0o644, include_str!("../../images/mariadb/my.cnf")),
    ],
    scripts: &[FINISH_BASE, include_str!("../../images/mariadb/setup.sh")],
};

const WIKI_ROOTFS: Rootfs = Rootfs {
    name: "p861-wiki",
    packages: &["busybox-static", "mediawiki", "nginx", "php8.2-cli", "php8.2-fpm", "php8.2-intl", "php8.2-mbstring", "php8.2-mysql", "php8.2-xml"],
    excluded: &[
        NO_PERL[0],
        NO_PERL[1],
        NO_PERL[2],
        NO_PERL[3],
        NO_PERL[5],
        "/usr/lib/*/systemd/*",
        "/usr/lib/udev/*",
        "/usr/share/fonts/*",
        // A third of it: none is used.
        "/usr/share/mediawiki/extensions-core/*",
    ],
    files: &[
        ("/usr/local/bin/serve", 0o755, include_str!("../../images/portal/serve")),
        ("/usr/local/bin/wiki", 0o755, include_str!("../../images/wiki/wiki")),
        ("/etc/p861/nginx.conf", 0o644, include_str!("../../images/portal/nginx.conf")),
        ("/etc/p861/php-fpm.conf", 0o644, include_str!("../../images/portal/php-fpm.conf")),
        ("/etc/p861/site/wiki.conf", 0o644, include_str!("../../images/wiki/site.conf")),
    ],
    scripts: &[FINISH_BASE, include_str!("../../images/wiki/setup.sh")],
};

/// An image that is a root file system: reference, recipe, configuration.
pub type FromDebian = (&'static str, &'static Rootfs, &'static Config<'static>);

/// Those of every bed.
pub const FROM_DEBIAN: [FromDebian; 2] = [
    (
        POSTGRES,
        &POSTGRES_ROOTFS,
        &Config {
            entrypoint: &["postgres-start"],
            environment: &["PGDATA=/var/lib/postgresql/data/pgdata", "LANG=C.UTF-8"],
            user: "999:999",
            // PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave by itself.
            stop_signal: "SIGINT",
        },
    ),
    (PORTAL, &PORTAL_ROOTFS, &Config { entrypoint: &["portal"], environment: &["LANG=C.UTF-8"], user: "33:33", stop_signal: "" }),
];

/// Those that are made only when they are asked for.
pub const STRANGERS: [FromDebian; 2] = [
    (MARIADB, &MARIADB_ROOTFS, &Config { entrypoint: &["mariadb-start"], environment: &["LANG=C.UTF-8"], user: "998:998", stop_signal: "" }),
    (WIKI, &WIKI_ROOTFS, &Config { entrypoint: &["wiki"], environment: &["LANG=C.UTF-8"], user: "33:33", stop_signal: "" }),
];
