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
/// All layers together have at most so many bytes when they are unpacked: what is no manifest is not kept, but must be read past.
const MOST_UNPACKED: u64 = 8 * 1024 * 1024;
/// All layers together have at most so many entries: a packed tar of empty ones is small.
const MOST_ENTRIES: usize = 4_096;
/// A manifest's path has at most so many bytes.
const MOST_PATH: usize = 256;
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
    let (mut files, mut room) = (BTreeMap::new(), Room { bytes: MOST_UNPACKED, entries: MOST_ENTRIES });
    for (number, layer) in layers.iter().enumerate() {
        let place = layer.title.clone().unwrap_or_else(|| format!("layer {}", number + 1));
        let unreadable = |error: &dyn std::fmt::Display| BundleError::Layer { place: place.clone(), error: error.to_string() };
        if let Some(title) = layer.title.as_ref().filter(|title| is_manifest(title)) {
            let text = String::from_utf8(layer.bytes.clone()).map_err(|error| unreadable(&error))?;
            files.insert(title.clone(), text);
        } else if layer.media_type.contains("tar") || layer.bytes.starts_with(&GZIP) {
            unpack(&layer.bytes, &mut files, &mut room).map_err(|error| unreadable(&error))?;
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

/// What the layers may still have when they are unpacked.
struct Room {
    bytes: u64,
    entries: usize,
}

/// Counts what is unpacked, whatever the headers of the tar say of it: names and extended headers are unpacked, too.
struct Counted<'a, R> {
    stream: R,
    left: &'a mut u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(into)?;
        *self.left = self.left.checked_sub(read as u64).ok_or_else(too_much)?;
        Ok(read)
    }
}

fn too_much() -> io::Error {
    io::Error::other(format!("with it the image unpacks to more than {MOST_UNPACKED} bytes"))
}

fn unpack(bytes: &[u8], files: &mut BTreeMap<String, String>, room: &mut Room) -> io::Result<()> {
    let unpacked: Box<dyn Read + '_> = if bytes.starts_with(&GZIP) { Box::new(MultiGzDecoder::new(bytes)) } else { Box::new(bytes) };
    let mut archive = Archive::new(Counted { stream: unpacked, left: &mut room.bytes });
    for entry in archive.entries()? {
        let mut entry = entry?;
        room.entries = room.entries.checked_sub(1).ok_or_else(|| io::Error::other(format!("with it the image has more than {MOST_ENTRIES} entries")))?;
        // A sparse file is larger than what is sent of it.
        if entry.size() > MOST_UNPACKED {
            return Err(too_much());
        }
        let path = entry.path()?.components().filter_map(plain).collect::<Vec<_>>().join("/");
        if path.len() > MOST_PATH {
            return Err(io::Error::other(format!("it has a path of {} bytes, and a manifest's has at most {MOST_PATH}", path.len())));
        }
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
        if entry.size() > MOST_BYTES as u64 {
            return Err(io::Error::other(format!("{path} has {} bytes, and a bundle has at most {MOST_BYTES}", entry.size())));
        }
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
        assert!(refused(layer(FLUX, None, much)).contains("a bundle has at most"));
        let half = "#".repeat(MOST_BYTES / 2 + 1);
        let two = packed(&tar(&[("a.yaml", &half), ("b.yaml", &half)]));
        assert!(matches!(files(&[layer(FLUX, None, two)]), Err(BundleError::TooLarge(_))));
    }

    /// A tar whose header says more than is in it.
    fn sparse(name: &str, real_size: u64) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNUSparse);
        header.set_path(name).unwrap();
        header.set_size(0);
        let text = format!("{real_size:011o}");
        header.as_gnu_mut().unwrap().realsize[..11].copy_from_slice(text.as_bytes());
        let sparse = &mut header.as_gnu_mut().unwrap().sparse[0];
        sparse.offset[..11].copy_from_slice(text.as_bytes());
        sparse.numbytes[..11].copy_from_slice(b"00000000000");
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, io::empty()).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn fault_e11_what_unpacks_to_much_is_refused_by_size_number_and_name_over_all_layers_and_before_it_is_in_memory() {
        let refused = |layers: &[Layer]| files(layers).unwrap_err().to_string();
        let zeros = "\0".repeat(3 * 1024 * 1024);
        let small = layer(FLUX, None, packed(&tar(&[("zeros.bin", &zeros)])));
        assert!(files(&[small.clone(), small.clone()]).is_ok(), "6 MiB are allowed");
        assert!(
            refused(&[small.clone(), small.clone(), small]).contains("layer 3: with it the image unpacks to more than"),
            "9 MiB are not, however they are divided"
        );
        let many: Vec<(String, &str)> = (0..=MOST_ENTRIES).map(|number| (format!("{number}.txt"), "")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        let (first, second) = many.split_at(many.len() / 2);
        let halves = [layer(FLUX, None, packed(&tar(first))), layer(FLUX, None, packed(&tar(second)))];
        assert!(files(&halves[..1]).is_ok() && refused(&halves).contains("more than 4096 entries"));
        let long = packed(&tar(&[(&format!("{}.yaml", "d/".repeat(200)), "a: 1")]));
        assert!(refused(&[layer(FLUX, None, long)]).contains("a path of"));
        // A name of the GNU form is a file of its own, which the reader unpacks by itself.
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(9 * 1024 * 1024);
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, io::repeat(b'n').take(9 * 1024 * 1024)).unwrap();
        let name = packed(&builder.into_inner().unwrap());
        assert!(name.len() < 64 * 1024 && refused(&[layer(FLUX, None, name)]).contains("unpacks to more than"));
        let hollow = packed(&sparse("a.yaml", 7 * 1024 * 1024 * 1024));
        assert!(refused(&[layer(FLUX, None, hollow)]).contains("unpacks to more than"));
        // Packed again and again.
        let nested = packed(&packed(&packed(&tar(&[("a.yaml", "a: 1")]))));
        assert!(files(&[layer(FLUX, None, nested)]).is_err(), "it is unpacked once");
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
