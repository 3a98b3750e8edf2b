//! Bounds of what is read from a store. Whoever serves a repository decides what is in it, so nothing of it is taken into memory or waited for without one: neither a
//! whole object, nor a part of one, nor a listing, nor what a compressed file unpacks to.
//!
//! The bounds follow from the key, here and nowhere else, so that no reader can forget them. They are far above what this product or stock `restic` writes.

use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Time limit of one request, not counting the transfer of its body. Unit tests wait for servers that never answer.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 30 });
/// A line that carries fewer bytes per second than this counts as broken.
const MIN_BYTES_PER_SECOND: u64 = 64 * KIB;
/// Largest part of an object that is read at once. Source: the largest pack that restic writes.
pub(crate) const MAX_RANGE_BYTES: u64 = 128 * MIB;
/// Longest key of an object. Source: the limit of S3.
pub(crate) const MAX_KEY_BYTES: usize = 1024;
/// Pages without an object that a listing may have in a row.
const MAX_EMPTY_PAGES: u32 = 100;
/// Largest answer to a request that is not for an object. A page has at most 1,000 keys.
pub(crate) const MAX_ANSWER_BYTES: u64 = 8 * MIB;
/// Largest text of an error.
pub(crate) const MAX_ERROR_BYTES: u64 = 256 * KIB;

/// How long the transfer of so many bytes may take.
pub(crate) const fn transfer(bytes: u64) -> Duration {
    Duration::from_secs(REQUEST_TIMEOUT.as_secs() + bytes / MIN_BYTES_PER_SECOND)
}

/// Size in words.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        ..KIB => format!("{bytes} bytes"),
        KIB..MIB => format!("{} KiB", bytes / KIB),
        _ => format!("{} MiB", bytes / MIB),
    }
}

/// Largest size of an object that is read as a whole, in bytes.
pub(crate) fn object_bytes(key: &str) -> u64 {
    match folder(key) {
        "config" => 64 * KIB,
        "keys" => 16 * KIB,
        "snapshots" => MIB,
        "index" => 32 * MIB,
        // Larger packs are read in parts.
        "data" => 64 * MIB,
        // Leases, journals, plans, reports, histories, results of movers.
        _ => 16 * MIB,
    }
}

/// Largest size of an encrypted file once it is unpacked, in bytes.
pub(crate) fn unpacked_bytes(key: &str) -> u64 {
    match folder(key) {
        "snapshots" => 2 * MIB,
        "index" => 128 * MIB,
        _ => object_bytes(key),
    }
}

/// Bounds of one listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Most objects.
    pub(crate) objects: u64,
    /// Longest time until its last page.
    pub(crate) within: Duration,
}

/// Bounds of the listing of all keys under a prefix.
pub(crate) fn listing(under: &str) -> Listing {
    let minutes = |objects, minutes| Listing { objects, within: Duration::from_mins(minutes) };
    match folder(under) {
        "keys" => minutes(1_000, 1),
        // Of 16 MiB, they are 64 TiB. "" is the whole repository.
        "data" | "" => minutes(4_000_000, 30),
        _ => minutes(100_000, 5),
    }
}

fn folder(key: &str) -> &str {
    key.split_once('/').map_or(key, |(folder, _)| folder)
}

/// Counts a listing and says when it goes beyond its bounds.
#[derive(Debug)]
pub(crate) struct ListingMeter {
    bounds: Listing,
    objects: u64,
    empty_pages: u32,
}

impl ListingMeter {
    pub(crate) fn new(under: &str) -> Self {
        Self { bounds: listing(under), objects: 0, empty_pages: 0 }
    }

    /// Counts an object.
    ///
    /// # Errors
    /// What is too large about the listing.
    pub(crate) fn object(&mut self, key: &str) -> Result<(), String> {
        self.objects += 1;
        if self.objects > self.bounds.objects {
            return Err(format!("more than {} objects are there, and no more are listed", self.bounds.objects));
        }
        if key.len() > MAX_KEY_BYTES {
            return Err(format!("it has a key of {} bytes, and a key has at most {MAX_KEY_BYTES}", key.len()));
        }
        Ok(())
    }

    /// Counts a page with so many objects, `elapsed` after the first request.
    ///
    /// # Errors
    /// What is too large about the listing.
    pub(crate) fn page(&mut self, objects: usize, elapsed: Duration) -> Result<(), String> {
        self.empty_pages = if objects == 0 { self.empty_pages + 1 } else { 0 };
        if self.empty_pages > MAX_EMPTY_PAGES {
            return Err(format!("{MAX_EMPTY_PAGES} pages in a row have no object"));
        }
        if elapsed > self.bounds.within {
            return Err(format!("it has not ended within {} minutes; {} objects were listed", self.bounds.within.as_secs() / 60, self.objects));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_e11_every_kind_of_object_has_a_bound() {
        for (key, bytes) in [
            ("config", 64 * KIB),
            ("keys/aa", 16 * KIB),
            ("snapshots/aa", MIB),
            ("index/aa", 32 * MIB),
            ("data/aa/aabb", 64 * MIB),
            ("p861/runs/uid/digest.json", 16 * MIB),
            ("p861/leases/record.json", 16 * MIB),
            ("journal/city/uid/plan.json", 16 * MIB),
            ("reports/drill.html", 16 * MIB),
            ("anything", 16 * MIB),
            ("", 16 * MIB),
        ] {
            assert_eq!(object_bytes(key), bytes, "{key}");
            assert!(unpacked_bytes(key) >= bytes, "{key}");
            assert!(bytes <= MAX_RANGE_BYTES, "{key}");
        }
        assert_eq!(transfer(0), REQUEST_TIMEOUT);
        assert_eq!(transfer(64 * MIB), REQUEST_TIMEOUT + Duration::from_secs(1024));
    }

    #[test]
    fn fault_e11_a_listing_ends_at_its_bounds() {
        let mut meter = ListingMeter::new("keys/");
        for number in 0..1_000 {
            meter.object(&format!("keys/{number}")).unwrap();
        }
        assert!(meter.object("keys/one-more").unwrap_err().contains("more than 1000 objects"));
        assert!(ListingMeter::new("snapshots/").object(&"k".repeat(1025)).unwrap_err().contains("1025 bytes"));

        let mut meter = ListingMeter::new("index/");
        for _ in 0..100 {
            meter.page(0, Duration::ZERO).unwrap();
        }
        meter.page(1, Duration::ZERO).unwrap();
        for _ in 0..100 {
            meter.page(0, Duration::ZERO).unwrap();
        }
        assert!(meter.page(0, Duration::ZERO).unwrap_err().contains("100 pages in a row"));
        let late = Duration::from_mins(5) + Duration::from_secs(1);
        assert!(ListingMeter::new("index/").page(1_000, late).unwrap_err().contains("within 5 minutes"));
    }
}
