//! A bundle that is kept as an image: its layers, as a registry gave them, become files again. Tools write them in three ways, and all are read: files as they
//! are, with their name beside them (ORAS); a tar, packed or not (Flux); the layers of a container image that has nothing but files.

use super::{BundleError, MOST_BYTES};
use flate2::read::MultiGzDecoder;
use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::{Component, Path},
};
use tar::Archive;

/// An image of manifests has at most so many layers.
pub const MOST_LAYERS: usize = 32;
/// Its layers have together at most so many bytes, as they are sent.
pub const MOST_SENT: usize = 2 * 1024 * 1024;
/// A layer has at most so many bytes when it is unpacked: what is no manifest is not kept, but must be read past.
const MOST_UNPACKED: u64 = 8 * 1024 * 1024;
/// Magic bytes of gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its media type.
    pub media_type: String,
    /// The name that stands beside it (`org.opencontainers.image.title`), if there is one.
    pub title: Option<String>,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// The manifests of all layers, by path: what ends in `.yaml`, `.yml` or `.json`. A later layer stands for an earlier one.
///
/// # Errors
/// If a layer can't be read, is of another kind, or unpacks to more than a bundle may have.
pub fn files(layers: &[Layer]) -> Result<BTreeMap<String, String>, BundleError> {
    let mut files = BTreeMap::new();
    for (number, layer) in layers.iter().enumerate() {
        let place = layer.title.clone().unwrap_or_else(|| format!("layer {}", number + 1));
        let unreadable = |error: &dyn std::fmt::Display| BundleError::Layer { place: place.clone(), error: error.to_string() };
        if let Some(title) = layer.title.as_ref().filter(|title| is_manifest(title)) {
            let text = String::from_utf8(layer.bytes.clone()).map_err(|error| unreadable(&error))?;
            files.insert(title.clone(), text);
        } else if layer.media_type.contains("tar") || layer.bytes.starts_with(&GZIP) {
            unpack(&layer.bytes, &mut files).map_err(|error| unreadable(&error))?;
        } else {
            return Err(unreadable(&format!("its media type {} is neither a manifest's nor a tar's", layer.media_type)));
        }
        let bytes: usize = files.values().map(String::len).sum();
        if bytes > MOST_BYTES {
            return Err(BundleError::TooLarge(bytes));
        }
    }
    Ok(files)
}

fn is_manifest(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|manifest| extension.eq_ignore_ascii_case(manifest)))
}

fn unpack(bytes: &[u8], files: &mut BTreeMap<String, String>) -> io::Result<()> {
    let unpacked: Box<dyn Read + '_> = if bytes.starts_with(&GZIP) { Box::new(MultiGzDecoder::new(bytes)) } else { Box::new(bytes) };
    // One more than is allowed, so that too much is seen, and not only cut off.
    let mut archive = Archive::new(unpacked.take(MOST_UNPACKED + 1));
    let mut read = 0_u64;
    for entry in archive.entries()? {
        let mut entry = entry?;
        read = read.saturating_add(512).saturating_add(entry.size());
        if read > MOST_UNPACKED {
            return Err(io::Error::other(format!("it unpacks to more than {MOST_UNPACKED} bytes")));
        }
        let path = entry.path()?.components().filter_map(plain).collect::<Vec<_>>().join("/");
        if !entry.header().entry_type().is_file() || !is_manifest(&path) {
            continue;
        }
        // A layer of a container image that takes a file of an earlier one away.
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if let Some(gone) = name.strip_prefix(".wh.") {
            files.remove(&if folder.is_empty() { gone.to_owned() } else { format!("{folder}/{gone}") });
            continue;
        }
        let mut text = String::new();
        entry.read_to_string(&mut text).map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
        files.insert(path, text);
    }
    Ok(())
}

/// A part of a path that names something. No file is written anywhere: a path is only a name here.
fn plain(part: Component<'_>) -> Option<String> {
    match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    fn tar(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn layer(media_type: &str, title: Option<&str>, bytes: Vec<u8>) -> Layer {
        Layer { media_type: media_type.into(), title: title.map(str::to_owned), bytes }
    }

    const FLUX: &str = "application/vnd.cncf.flux.content.v1.tar+gzip";

    #[test]
    fn files_come_back_however_a_tool_has_put_them_into_layers() {
        let two = [("./deploy/one.yaml", "a: 1"), ("two.json", "{}"), ("README.md", "# no manifest")];
        let expected = BTreeMap::from([("deploy/one.yaml".to_owned(), "a: 1".to_owned()), ("two.json".to_owned(), "{}".to_owned())]);
        assert_eq!(files(&[layer(FLUX, None, packed(&tar(&two)))]), Ok(expected.clone()));
        assert_eq!(files(&[layer("application/vnd.oci.image.layer.v1.tar", None, tar(&two))]), Ok(expected.clone()));
        let oras = [layer("text/yaml", Some("deploy/one.yaml"), b"a: 1".to_vec()), layer("text/json", Some("two.json"), b"{}".to_vec())];
        assert_eq!(files(&oras), Ok(expected));
        let later = [layer(FLUX, None, packed(&tar(&two))), layer(FLUX, None, packed(&tar(&[("two.json", "{\"later\":1}")])))];
        assert_eq!(files(&later).unwrap()["two.json"], "{\"later\":1}");
    }

    #[test]
    fn what_a_later_layer_takes_away_is_gone_and_all_of_what_is_packed_is_read() {
        let first = layer(FLUX, None, packed(&tar(&[("d/one.yaml", "a: 1"), ("two.yaml", "b: 2")])));
        let second = layer(FLUX, None, packed(&tar(&[("d/.wh.one.yaml", ""), (".wh.two.yaml", ""), ("three.yaml", "c: 3")])));
        assert_eq!(files(&[first, second]).unwrap().into_keys().collect::<Vec<_>>(), ["three.yaml"]);
        let whole = tar(&[("one.yaml", "a: 1"), ("two.yaml", "b: 2")]);
        let (head, tail) = whole.split_at(600);
        let in_two = [packed(head), packed(tail)].concat();
        assert_eq!(files(&[layer(FLUX, None, in_two)]).unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_manifest_no_text_or_too_much_is_said() {
        let refused = |layer| files(&[layer]).unwrap_err().to_string();
        assert!(refused(layer("application/wasm", Some("module.wasm"), b"x".to_vec())).contains("module.wasm: its media type application/wasm"));
        assert!(refused(layer("text/yaml", Some("a.yaml"), vec![0xff])).contains("utf-8"));
        assert!(refused(layer(FLUX, None, vec![0x1f, 0x8b, 0, 1])).starts_with("layer 1: "));
        let bomb = packed(&tar(&[("zeros.bin", &"\0".repeat(9 * 1024 * 1024))]));
        assert!(bomb.len() < 64 * 1024, "it is small as it is sent");
        assert!(refused(layer(FLUX, None, bomb)).contains("unpacks to more than"));
        let much = packed(&tar(&[("a.yaml", &"#".repeat(MOST_BYTES + 1))]));
        assert!(matches!(files(&[layer(FLUX, None, much)]), Err(BundleError::TooLarge(_))));
    }

    #[test]
    fn a_path_that_leads_outside_is_a_name_and_nothing_more() {
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        let name = b"../../etc/cron.yaml";
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, b"a: 1".as_slice()).unwrap();
        let found = files(&[layer(FLUX, None, packed(&builder.into_inner().unwrap()))]).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["etc/cron.yaml"]);
    }
}
