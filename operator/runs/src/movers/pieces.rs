//! The files of objects while they are listed: in pieces, each of which is told of once it is whole, so that it is stored while those after it are still being written.

use super::work::WorkError;
use p861_crds::Reason;
use p861_vault::Filled;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, mpsc::Sender},
};

/// A piece is at least so long, in bytes, but for the last one of a file.
const MIN_PIECE: u64 = 4 << 20;
/// One name of so many ends a piece that is long enough.
const CUTS: u8 = 64;
/// Stands between the name of a file and the number of its piece. It sorts before whatever a name of a kind or group may have, so the pieces of a file follow it directly.
const NUMBERED: char = '+';

/// Whether a piece may end with the object of this name. That only depends on the name: one object more or less moves one cut, and all other pieces are in the repository
/// already.
fn cuts(name: &str) -> bool {
    Sha256::digest(name)[0] % CUTS == 0
}

fn piece_of(file: &Path, number: u32) -> PathBuf {
    if number == 1 {
        return file.to_owned();
    }
    let mut name = file.as_os_str().to_owned();
    name.push(format!("{NUMBERED}{number:06}"));
    name.into()
}

/// The file of which this is a piece, both by name.
pub(super) fn file_of(piece: &str) -> &str {
    piece.split_once(NUMBERED).map_or(piece, |(file, _)| file)
}

pub(super) fn disk(path: &Path, error: &std::io::Error) -> WorkError {
    WorkError::stated(Reason::NoSpace, format!("{}: {error}", path.display()), false)
}

/// Files that are being written, by path; each with its whole pieces that were not told of yet.
#[derive(Debug, Default)]
struct UnderWay(BTreeMap<PathBuf, (Vec<PathBuf>, bool)>);

impl UnderWay {
    fn expect(&mut self, file: PathBuf) {
        self.0.insert(file, (Vec::new(), false));
    }

    fn is_whole(&mut self, file: &Path, piece: Option<PathBuf>, is_last: bool) {
        if let Some((pieces, ended)) = self.0.get_mut(file) {
            pieces.extend(piece);
            *ended = is_last;
        }
    }

    /// What may be told now: nothing will come before it any more.
    fn told(&mut self) -> Vec<PathBuf> {
        let mut told = Vec::new();
        while let Some(mut first) = self.0.first_entry() {
            let (pieces, ended) = first.get_mut();
            told.append(pieces);
            if !*ended {
                break;
            }
            first.remove();
        }
        told
    }
}

/// The files of a folder that is being filled.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    under_way: Mutex<UnderWay>,
    filled: Sender<Filled>,
}

impl Files {
    /// These files may come, each by its path below the folder.
    pub(super) fn new(folder: &Path, expected: impl IntoIterator<Item = PathBuf>, filled: Sender<Filled>) -> Self {
        let mut under_way = UnderWay::default();
        expected.into_iter().for_each(|file| under_way.expect(file));
        Self { folder: folder.to_owned(), under_way: Mutex::new(under_way), filled }
    }

    fn is_whole(&self, file: &Path, piece: Option<PathBuf>, is_last: bool) {
        let mut under_way = self.under_way.lock();
        under_way.is_whole(file, piece, is_last);
        // Told in order, so while nobody else tells. Without anybody who listens there is nothing to tell.
        for piece in under_way.told() {
            let _ = self.filled.send(Filled::File(piece));
        }
    }

    /// All have come.
    pub(super) fn all(&self) {
        let _ = self.filled.send(Filled::All);
    }
}

/// A file of lines, in pieces. It exists only if there is a line.
#[derive(Debug)]
pub(super) struct Lines {
    files: Arc<Files>,
    file: PathBuf,
    piece: Option<(PathBuf, BufWriter<File>, u64)>,
    pieces: u32,
    /// Lines so far.
    pub(super) count: u64,
    /// Bytes so far.
    pub(super) bytes: u64,
}

impl Lines {
    /// One of the files that were said to come.
    pub(super) fn new(files: &Arc<Files>, file: PathBuf) -> Self {
        Self { files: files.clone(), file, piece: None, pieces: 0, count: 0, bytes: 0 }
    }

    /// Writes the line of the object of this name.
    pub(super) fn write(&mut self, name: &str, line: &str) -> Result<(), WorkError> {
        let (path, out, bytes) = if let Some(piece) = &mut self.piece {
            piece
        } else {
            self.pieces += 1;
            let relative = piece_of(&self.file, self.pieces);
            let path = self.files.folder.join(&relative);
            let out = File::create(&path).map_err(|error| disk(&path, &error))?;
            self.piece.insert((relative, BufWriter::new(out), 0))
        };
        writeln!(out, "{line}").map_err(|error| disk(path, &error))?;
        let length = line.len() as u64 + 1;
        *bytes += length;
        let ends = *bytes >= MIN_PIECE && cuts(name);
        self.count += 1;
        self.bytes += length;
        if ends {
            let piece = self.end_piece()?;
            self.files.is_whole(&self.file, piece, false);
        }
        Ok(())
    }

    fn end_piece(&mut self) -> Result<Option<PathBuf>, WorkError> {
        let Some((path, mut out, _)) = self.piece.take() else { return Ok(None) };
        out.flush().map_err(|error| disk(&path, &error))?;
        Ok(Some(path))
    }

    /// No line follows.
    pub(super) fn finish(&mut self) -> Result<(), WorkError> {
        let piece = self.end_piece()?;
        self.files.is_whole(&self.file, piece, true);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::BTreeSet, sync::mpsc};

    /// Lines of objects in order of name, of about a kibibyte.
    fn lines(names: impl IntoIterator<Item = u32>) -> Vec<(String, String)> {
        names.into_iter().map(|number| (format!("object-{number:06}"), format!("{number:06}{}", "x".repeat(1_000)))).collect()
    }

    /// Writes them as the only file; returns its pieces, in the order in which they were told.
    fn pieces(lines: &[(String, String)]) -> Vec<(PathBuf, String)> {
        let (folder, (filled, told)) = (tempfile::tempdir().unwrap(), mpsc::channel());
        let files = Arc::new(Files::new(folder.path(), ["a.jsonl".into()], filled));
        let mut file = Lines::new(&files, "a.jsonl".into());
        for (name, line) in lines {
            file.write(name, line).unwrap();
        }
        file.finish().unwrap();
        files.all();
        let told: Vec<Filled> = told.try_iter().collect();
        assert_eq!(told.last(), Some(&Filled::All));
        let read = told.into_iter().filter_map(|filled| match filled {
            Filled::File(piece) => Some((piece.clone(), std::fs::read_to_string(folder.path().join(piece)).unwrap())),
            Filled::All => None,
        });
        read.collect()
    }

    #[test]
    fn a_file_is_cut_into_pieces_that_follow_each_other_and_one_object_more_moves_one_cut_at_most() {
        let before = pieces(&lines((0..30_000).filter(|number| *number != 1_234)));
        let after = pieces(&lines(0..30_000));
        for pieces in [&before, &after] {
            assert!(pieces.len() > 3 && pieces.iter().rev().skip(1).all(|(_, text)| text.len() as u64 >= MIN_PIECE), "{}", pieces.len());
            assert!(pieces.iter().map(|(path, _)| path).is_sorted());
            let whole: String = pieces.iter().map(|(_, text)| text.as_str()).collect();
            assert!(whole.lines().is_sorted() && pieces.iter().all(|(_, text)| text.ends_with('\n')));
            assert!(pieces.iter().all(|(path, _)| file_of(path.to_str().unwrap()) == "a.jsonl"));
        }
        let known: BTreeSet<&String> = before.iter().map(|(_, text)| text).collect();
        let new = after.iter().filter(|(_, text)| !known.contains(text)).count();
        assert!(new <= 2, "{new} of {} pieces are new", after.len());
    }

    #[test]
    fn a_file_without_a_line_is_none_and_holds_up_nothing() {
        assert_eq!(pieces(&[]), []);
    }

    #[test]
    fn a_piece_stands_between_its_file_and_the_files_of_all_other_kinds() {
        let file = Path::new("n/widgets.jsonl");
        // Groups are names of DNS.
        for other in ["n/widgets.jsonl-a.example.jsonl", "n/widgets.jsonl.000002.jsonl", "n/widgets.jsonl0.jsonl", "n/widgetsa.jsonl"] {
            assert!(*file < *piece_of(file, 2) && piece_of(file, 999_999) < *Path::new(other), "{other}");
        }
    }

    proptest! {
        /// Whatever order files and their pieces are written in: each piece is told once, in order of path, and as soon as all that come before it are there.
        #[test]
        fn pieces_are_told_in_order_of_path_and_none_is_held_back_longer_than_needed(
            counts in prop::collection::vec(0_u32..4, 1..6),
            turns in prop::collection::vec(any::<prop::sample::Index>(), 40),
        ) {
            let file = |at: usize| PathBuf::from(format!("n/{at}.jsonl"));
            let mut under_way = UnderWay::default();
            (0..counts.len()).for_each(|at| under_way.expect(file(at)));
            let mut written: Vec<u32> = vec![0; counts.len()];
            let mut open: Vec<usize> = (0..counts.len()).collect();
            let mut told = Vec::new();
            for turn in turns {
                if open.is_empty() {
                    break;
                }
                let chosen = turn.index(open.len());
                let at = open[chosen];
                written[at] += 1;
                let is_last = written[at] > counts[at];
                under_way.is_whole(&file(at), (!is_last).then(|| piece_of(&file(at), written[at])), is_last);
                if is_last {
                    open.remove(chosen);
                }
                told.extend(under_way.told());
                let first_open = open.iter().min().copied().unwrap_or(counts.len());
                let expected: u32 = (0..=first_open).filter_map(|at| Some(written.get(at)?.min(&counts[at]))).sum();
                prop_assert_eq!(told.len(), expected as usize);
            }
            prop_assert!(told.is_sorted());
            prop_assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), told.len());
        }
    }
}
