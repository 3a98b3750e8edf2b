//! The images that a bed's sites run: made from Debian's packages and the components, kept as OCI archives in the cache.

mod oci;
mod recipes;
mod rootfs;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::components::Components;
use crate::components::cache::{Cache, CacheError, CacheLock, Leftover, key};
use crate::components::run::RunError;
use crate::report::Report;
pub use oci::architecture;
use oci::{Config, OciError};
use recipes::{BASE, FROM_DEBIAN, FromDebian, STRANGERS};
pub use rootfs::EPOCH_SECONDS;
use rootfs::RootfsError;

/// PostgreSQL 15 with contrib and pgbench; see images/postgres/postgres-start for its environment.
pub const POSTGRES: &str = "localhost/p861-postgres:15";
/// DokuWiki on nginx and PHP, port 8080, all it keeps in /srv/site. `serve` alone serves what /etc/p861/site/*.conf says.
pub const PORTAL: &str = "localhost/p861-portal:1";
/// MariaDB 10.11 with its client; see images/mariadb/mariadb-start for its environment.
pub const MARIADB: &str = "localhost/p861-mariadb:10.11";
/// MediaWiki 1.39 on nginx and PHP, port 8080; what it keeps beside its database is in /srv/wiki.
pub const WIKI: &str = "localhost/p861-wiki:1.39";
/// libc, certificates, and busybox as a shell.
pub const BASE_IMAGE: &str = "localhost/p861-base:1";
/// What holds a pod's namespaces: the base's busybox, asleep.
pub const PAUSE: &str = "localhost/p861-pause:1";
/// Cluster DNS.
pub const COREDNS: &str = "localhost/p861-coredns:v1.14.7";
/// The provisioner of volumes; its helper pods run [`BASE_IMAGE`].
pub const LOCAL_PATH_PROVISIONER: &str = "localhost/p861-local-path-provisioner:v0.0.30";

/// How many earlier makes of an image are kept when a new one is added: other checkouts may be about to import theirs.
const KEPT: usize = 4;

/// Why an image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A root file system could not be made.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// An archive could not be written.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// A layer with programs could not be made.
    #[error("the layer of {image} could not be made: {source}")]
    Layer {
        /// The image.
        image: String,
        /// How it failed.
        source: RunError,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// An image that a site's containerd can import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The name that pods use, with `imagePullPolicy: Never`.
    pub reference: String,
    /// The OCI archive.
    pub archive: PathBuf,
}

/// The images of every bed, made if they are not in the cache. Cold, this takes about a minute and a half.
pub fn ensure(components: &Components, report: &Report) -> Result<Vec<Image>, ImagesError> {
    let cache = Cache::of_user()?;
    let lock = cache.lock(report)?;
    let base = base_layer(&cache, &lock, &components.mmdebstrap, report)?;
    let mut images = vec![image(&cache, &lock, BASE_IMAGE, &base.key, &Config::default(), report, |_| Ok(vec![base.path.clone()]))?];
    let asleep = Config { entrypoint: &["/bin/busybox", "sleep", "infinity"], user: "65532:65532", ..Config::default() };
    images.push(image(&cache, &lock, PAUSE, &base.key, &asleep, report, |_| Ok(vec![base.path.clone()]))?);
    for recipe in &FROM_DEBIAN {
        images.push(from_debian(&cache, &lock, recipe, &components.mmdebstrap, report)?);
    }
    for (reference, program) in [(COREDNS, &components.coredns), (LOCAL_PATH_PROVISIONER, &components.local_path_provisioner)] {
        images.push(on_base(&cache, &lock, &base, reference, program, report)?);
    }
    Ok(images)
}

/// The images of applications that nobody here wrote, made if they are not in the cache. No bed has them unless they are brought in
/// ([`crate::bed::Site::import`]). Cold, this takes about a minute.
pub fn strangers(components: &Components, report: &Report) -> Result<Vec<Image>, ImagesError> {
    let cache = Cache::of_user()?;
    let lock = cache.lock(report)?;
    STRANGERS.iter().map(|recipe| from_debian(&cache, &lock, recipe, &components.mmdebstrap, report)).collect()
}

/// The image of the operator: the base and this binary. Only the layer with the binary is new, so this takes seconds; the same binary
/// gives the same reference, `localhost/p861-operator:dev-<digest>`.
pub fn operator(components: &Components, binary: &Path, report: &Report) -> Result<Image, ImagesError> {
    let digest = oci::digest(binary)?;
    release(&components.mmdebstrap, binary, &format!("localhost/p861-operator:dev-{}", &digest[..12]), report)
}

/// The image of the operator under a name of the caller's choice, as users install it.
pub fn release(mmdebstrap: &Path, binary: &Path, reference: &str, report: &Report) -> Result<Image, ImagesError> {
    let cache = Cache::of_user()?;
    let lock = cache.lock(report)?;
    let base = base_layer(&cache, &lock, mmdebstrap, report)?;
    on_base(&cache, &lock, &base, reference, binary, report)
}

/// The SHA-256 of a file, in hexadecimal.
pub fn digest(path: &Path) -> Result<String, ImagesError> {
    Ok(oci::digest(path)?)
}

/// The base's layer, which other images begin with, and the key of what it was made from.
struct BaseLayer {
    path: PathBuf,
    key: String,
}

fn base_layer(cache: &Cache, lock: &CacheLock, mmdebstrap: &Path, report: &Report) -> Result<BaseLayer, ImagesError> {
    let key = BASE.key();
    let folder = cache.add(lock, &format!("layer-p861-base-{key}"), Leftover::Discard, |folder| {
        report.timed("Making the layer of p861-base", || rootfs::build(mmdebstrap, &BASE, &folder.join("layer.tar")))?;
        Ok::<(), ImagesError>(())
    })?;
    Ok(BaseLayer { path: folder.join("layer.tar"), key })
}

/// An image that is a root file system of Debian's packages.
fn from_debian(cache: &Cache, lock: &CacheLock, (reference, recipe, config): &FromDebian, mmdebstrap: &Path, report: &Report) -> Result<Image, ImagesError> {
    image(cache, lock, reference, &recipe.key(), config, report, |folder| {
        let layer = folder.join("layer.tar");
        rootfs::build(mmdebstrap, recipe, &layer)?;
        Ok(vec![layer])
    })
}

/// An image of the base and one program, which is its entrypoint.
fn on_base(cache: &Cache, lock: &CacheLock, base: &BaseLayer, reference: &str, program: &Path, report: &Report) -> Result<Image, ImagesError> {
    let digest = oci::digest(program)?;
    let name = short_name(reference);
    let config = Config { entrypoint: &[&format!("/usr/local/bin/{name}")], user: "65532:65532", ..Config::default() };
    let key = key([base.key.as_bytes(), digest.as_bytes()]);
    image(cache, lock, reference, &key, &config, report, |folder| {
        let layer = folder.join("program.tar");
        rootfs::program_layer(program, name, &layer).map_err(|source| ImagesError::Layer { image: reference.to_owned(), source })?;
        Ok(vec![base.path.clone(), layer])
    })
}

/// The name of what an image is for: `localhost/p861-coredns:v1` → `coredns`; the operator's program keeps its full name.
fn short_name(reference: &str) -> &str {
    let name = reference.rsplit('/').next().unwrap_or(reference);
    let name = name.split(':').next().unwrap_or(name);
    if name == "p861-operator" { name } else { name.strip_prefix("p861-").unwrap_or(name) }
}

/// The image of this reference and key from the cache; else `layers` makes its layers in a folder that is gone afterwards.
fn image(
    cache: &Cache,
    lock: &CacheLock,
    reference: &str,
    recipe: &str,
    config: &Config<'_>,
    report: &Report,
    layers: impl FnOnce(&Path) -> Result<Vec<PathBuf>, ImagesError>,
) -> Result<Image, ImagesError> {
    let config_text = config.to_json();
    let name = reference.rsplit('/').next().unwrap_or(reference).replace(':', "-");
    let prefix = if name.starts_with("p861-operator-") { "image-p861-operator-".to_owned() } else { format!("image-{name}-") };
    let entry = format!("image-{name}-{}", key([recipe.as_bytes(), config_text.as_bytes(), reference.as_bytes()]));
    let folder = cache.add(lock, &entry, Leftover::Discard, |folder| {
        report.timed(&format!("Making image {reference}"), || {
            let work = folder.join("work");
            let io = |source| ImagesError::Io { path: work.clone(), source };
            fs::create_dir(&work).map_err(io)?;
            let layers = layers(&work)?;
            oci::write(&folder.join("image.tar"), reference, config, &layers, &work.join("layout"))?;
            fs::remove_dir_all(&work).map_err(io)
        })?;
        prune(cache, &prefix, KEPT)
    })?;
    Ok(Image { reference: reference.to_owned(), archive: folder.join("image.tar") })
}

/// Removes the oldest entries whose names begin with `prefix`, so that a day of builds does not fill the disk.
fn prune(cache: &Cache, prefix: &str, keep: usize) -> Result<(), ImagesError> {
    let root = cache.path("");
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| ImagesError::Io { path, source }
    };
    let mut entries: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(&root).map_err(io(&root))? {
        let entry = entry.map_err(io(&root))?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            let made = entry.metadata().and_then(|data| data.modified()).map_err(io(&entry.path()))?;
            entries.push((made, entry.path()));
        }
    }
    entries.sort();
    let surplus = entries.len().saturating_sub(keep);
    entries.iter().take(surplus).try_for_each(|(_, path)| fs::remove_dir_all(path).map_err(io(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_says_what_it_is_for() {
        let table = [(COREDNS, "coredns"), (LOCAL_PATH_PROVISIONER, "local-path-provisioner"), ("localhost/p861-operator:dev-0123", "p861-operator")];
        for (reference, name) in table {
            assert_eq!(short_name(reference), name);
        }
    }

    #[test]
    fn only_the_newest_operator_images_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        for (age, name) in [(30, "image-p861-operator-a"), (10, "image-p861-operator-c"), (20, "image-p861-operator-b"), (40, "image-other")] {
            fs::create_dir(cache.path(name)).unwrap();
            let made = SystemTime::now() - std::time::Duration::from_secs(age);
            fs::File::open(cache.path(name)).unwrap().set_modified(made).unwrap();
        }
        prune(&cache, "image-p861-operator-", 2).unwrap();
        let left: Vec<&str> = ["image-p861-operator-a", "image-p861-operator-b", "image-p861-operator-c", "image-other"]
            .into_iter()
            .filter(|name| cache.find(name).is_some())
            .collect();
        assert_eq!(left, ["image-p861-operator-b", "image-p861-operator-c", "image-other"]);
    }

    #[test]
    fn the_same_recipe_is_made_once_and_leaves_only_the_archive() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let lock = cache.lock(&Report::silent()).unwrap();
        let make = |layers: &dyn Fn(&Path) -> Result<Vec<PathBuf>, ImagesError>| {
            image(&cache, &lock, "localhost/tool:1", "recipe", &Config::default(), &Report::silent(), layers)
        };
        let first = make(&|work| {
            let layer = work.join("layer.tar");
            fs::write(&layer, "a layer").unwrap();
            Ok(vec![layer])
        })
        .unwrap();
        let second = make(&|_| panic!("it is in the cache")).unwrap();
        assert_eq!(first, second);
        assert_eq!(fs::read_dir(first.archive.parent().unwrap()).unwrap().count(), 1);
    }
}
