//! Room for a bed on this machine's disk. Kubelets evict every pod when it is nearly full, which looks like anything but a full disk.

use super::error::{BedError, Result};
use std::path::Path;

/// What a bed with two sites takes at most, in bytes.
const OF_A_BED: u64 = 4 << 30;
/// The share of the disk below which the kubelets of a bed evict (`evictionHard`), in percent.
pub const EVICTION_PERCENT: u64 = 1;

/// Refuses a disk without room for a bed.
pub fn refuse_unless_there_is_room(folder: &Path) -> Result<()> {
    let disk = rustix::fs::statvfs(folder).map_err(|error| BedError::Io { path: folder.to_owned(), source: error.into() })?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    missing(bytes(disk.f_bavail), bytes(disk.f_blocks)).map_or(Ok(()), |missing| {
        let gibibytes = missing.div_ceil(1 << 30);
        Err(BedError::Refused(format!(
            "the disk of {} has no room for a test bed: free {gibibytes} GiB there (target/ and other beds are the largest: testbed list)",
            folder.display()
        )))
    })
}

/// How many bytes a disk lacks; none if it has room.
fn missing(available: u64, size: u64) -> Option<u64> {
    let needed = (size / 100 * EVICTION_PERCENT).saturating_add(OF_A_BED);
    needed.checked_sub(available).filter(|missing| *missing > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_room_only_if_no_kubelet_will_evict_for_want_of_it() {
        let gibibytes = |number: u64| number << 30;
        for (available, size, lacks) in
            [(gibibytes(40), gibibytes(200), None), (gibibytes(6), gibibytes(200), None), (gibibytes(5), gibibytes(200), Some(1)), (0, gibibytes(10), Some(5))]
        {
            assert_eq!(missing(available, size).map(|missing| missing.div_ceil(1 << 30)), lacks, "{available} of {size}");
        }
        assert!(refuse_unless_there_is_room(Path::new("/nowhere")).is_err());
    }
}
