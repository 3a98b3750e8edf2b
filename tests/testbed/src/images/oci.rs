//! Writing an OCI image archive: a few JSON documents and the layers, all named by their digests. No container engine is needed.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::components::run::{RunError, run};

/// Why an archive could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// tar failed.
    #[error("the archive of {image} could not be written: {source}")]
    Archive {
        /// The image.
        image: String,
        /// How it failed.
        source: RunError,
    },
}

/// How a container of an image starts when its pod says nothing else.
#[derive(Debug, Clone, Copy, Default)]
pub struct Config<'a> {
    /// The program.
    pub entrypoint: &'a [&'a str],
    /// Its environment besides PATH: `NAME=value`.
    pub environment: &'a [&'a str],
    /// `user:group` as numbers, so that Kubernetes can see that it is not root. Empty: root.
    pub user: &'a str,
    /// The signal that ends it. Empty: SIGTERM.
    pub stop_signal: &'a str,
}

impl Config<'_> {
    /// The runtime part of the image's configuration.
    pub fn to_json(self) -> String {
        self.value().to_string()
    }

    fn value(self) -> Value {
        let mut environment = vec!["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];
        environment.extend(self.environment);
        let mut value = json!({"Env": environment});
        let mut set = |name: &str, present: bool, field: Value| {
            if present {
                value[name] = field;
            }
        };
        set("Entrypoint", !self.entrypoint.is_empty(), json!(self.entrypoint));
        set("User", !self.user.is_empty(), json!(self.user));
        set("StopSignal", !self.stop_signal.is_empty(), json!(self.stop_signal));
        value
    }
}

/// Writes the archive of an image with these layers (plain tar files), the lowest first. `layout` is a folder to work in; it must not
/// exist. The same layers and configuration give the same archive.
pub fn write(archive: &Path, reference: &str, config: &Config<'_>, layers: &[PathBuf], layout: &Path) -> Result<(), OciError> {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(io(&blobs))?;
    let mut descriptors = Vec::new();
    let mut digests = Vec::new();
    for layer in layers {
        let digest = digest(layer)?;
        let size = fs::metadata(layer).map_err(io(layer))?.len();
        let blob = blobs.join(&digest);
        // A layer of its own moves in; one shared with other images is on the same file system too, so a link is enough.
        if !blob.exists() {
            fs::hard_link(layer, &blob).map_err(io(&blob))?;
        }
        descriptors.push(json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": format!("sha256:{digest}"), "size": size}));
        digests.push(format!("sha256:{digest}"));
    }
    let image = json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": architecture(),
        "os": "linux",
        "config": config.value(),
        "rootfs": {"type": "layers", "diff_ids": digests},
    });
    let image = put(&blobs, "application/vnd.oci.image.config.v1+json", &image)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": image,
        "layers": descriptors,
    });
    let mut manifest = put(&blobs, "application/vnd.oci.image.manifest.v1+json", &manifest)?;
    // containerd's importer takes the first as the image's full name; other tools read the second.
    manifest["annotations"] = json!({"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    for (name, value) in [("index.json", index), ("oci-layout", json!({"imageLayoutVersion": "1.0.0"}))] {
        let path = layout.join(name);
        fs::write(&path, value.to_string()).map_err(io(&path))?;
    }
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--hard-dereference", "--file"]);
    tar.arg(archive).arg("--directory").arg(layout).args(["oci-layout", "index.json", "blobs"]);
    run(&mut tar, Duration::from_mins(5)).map(drop).map_err(|source| OciError::Archive { image: reference.to_owned(), source })
}

/// Writes a JSON blob and gives its descriptor.
fn put(blobs: &Path, media_type: &str, value: &Value) -> Result<Value, OciError> {
    let text = value.to_string();
    let digest = hex::encode(Sha256::digest(&text));
    let path = blobs.join(&digest);
    fs::write(&path, &text).map_err(io(&path))?;
    Ok(json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": text.len()}))
}

/// The SHA-256 of a file, in hexadecimal.
pub fn digest(path: &Path) -> Result<String, OciError> {
    let mut file = File::open(path).map_err(io(path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(io(path))? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Go's name, which OCI uses, for the architecture of this program and so of what it makes.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> OciError {
    let path = path.to_owned();
    move |source| OciError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blob_of_an_archive_is_named_by_its_digest_and_the_index_leads_to_all() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one.tar"), folder.path().join("two.tar"));
        fs::write(&one, "lower").unwrap();
        fs::write(&two, "upper").unwrap();
        let config = Config { entrypoint: &["/bin/tool"], user: "33:33", stop_signal: "SIGINT", ..Config::default() };
        let archive = folder.path().join("image.tar");
        write(&archive, "localhost/tool:1", &config, &[one, two], &folder.path().join("layout")).unwrap();

        let unpacked = folder.path().join("unpacked");
        fs::create_dir(&unpacked).unwrap();
        run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&unpacked), Duration::from_mins(1)).unwrap();
        for blob in fs::read_dir(unpacked.join("blobs/sha256")).unwrap() {
            let blob = blob.unwrap();
            assert_eq!(digest(&blob.path()).unwrap(), blob.file_name().to_string_lossy());
        }
        let read = |path: PathBuf| -> Value { serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap() };
        let blob = |descriptor: &Value| unpacked.join("blobs").join(descriptor["digest"].as_str().unwrap().replace(':', "/"));
        let index = read(unpacked.join("index.json"));
        let descriptor = &index["manifests"][0];
        assert_eq!(descriptor["annotations"]["io.containerd.image.name"], "localhost/tool:1");
        let manifest = read(blob(descriptor));
        let texts: Vec<String> = (0..2).map(|layer| fs::read_to_string(blob(&manifest["layers"][layer])).unwrap()).collect();
        assert_eq!(texts, ["lower", "upper"]);
        let image = read(blob(&manifest["config"]));
        assert_eq!(image["config"]["Entrypoint"][0], "/bin/tool");
        assert_eq!(image["config"]["StopSignal"], "SIGINT");
        assert_eq!(image["config"]["User"], "33:33");
        assert_eq!(image["rootfs"]["diff_ids"][1], manifest["layers"][1]["digest"]);
    }

    #[test]
    fn the_same_image_is_the_same_archive() {
        let folder = tempfile::tempdir().unwrap();
        let layer = folder.path().join("layer.tar");
        fs::write(&layer, "layer").unwrap();
        let digests: Vec<String> = ["a", "b"]
            .into_iter()
            .map(|name| {
                let archive = folder.path().join(name).with_extension("tar");
                write(&archive, "localhost/tool:1", &Config::default(), std::slice::from_ref(&layer), &folder.path().join(name)).unwrap();
                digest(&archive).unwrap()
            })
            .collect();
        assert_eq!(digests[0], digests[1]);
    }
}
