//! How fast movers may upload, by the time of day.

use crate::quantity::Quantity as Parsed;
use jiff::{Timestamp, tz::TimeZone};
use p861_crds::{common::Quantity, protection::policy::UploadHours};
use serde::{Deserialize, Serialize};

/// No limit is lower: a request that is slower is given up by the store, and nothing would ever arrive.
pub const MIN_BYTES_PER_SECOND: u64 = 16 * 1024;

/// A limit for all movers of a site, a repository or a policy together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadLimit {
    /// Outside the hours below; none if there is no limit then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes_per_second: Option<u64>,
    /// Hours with a limit of their own. The first that holds counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hours: Vec<Hours>,
}

/// Minutes of the day, and what may be uploaded then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hours {
    start: u32,
    end: u32,
    bytes_per_second: u64,
}

impl Hours {
    fn hold(&self, minute: u32) -> bool {
        if self.start <= self.end { (self.start..self.end).contains(&minute) } else { minute >= self.start || minute < self.end }
    }
}

/// What holds for a mover: the lowest of its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadLimits {
    /// The district's time zone.
    pub zone: String,
    /// The limits.
    pub limits: Vec<UploadLimit>,
}

impl UploadLimit {
    /// A limit as it is declared; none if nothing is limited.
    pub fn of(bytes_per_second: Option<&Quantity>, hours: &[UploadHours]) -> Option<Self> {
        let limit = Self {
            bytes_per_second: bytes_per_second.and_then(bytes),
            hours: hours
                .iter()
                .filter_map(|hours| {
                    Some(Hours { start: minute_of(&hours.start)?, end: minute_of(&hours.end)?, bytes_per_second: bytes(&hours.upload_bytes_per_second)? })
                })
                .collect(),
        };
        (limit != Self::default()).then_some(limit)
    }

    /// Whether it is another at another time of day.
    pub fn depends_on_hours(&self) -> bool {
        !self.hours.is_empty()
    }

    fn at(&self, minute: u32) -> Option<u64> {
        self.hours.iter().find(|hours| hours.hold(minute)).map(|hours| hours.bytes_per_second).or(self.bytes_per_second)
    }
}

impl UploadLimits {
    /// Bytes per second that the movers may upload at `now`, all of them together; none if there is no limit.
    pub fn at(&self, now: Timestamp) -> Option<u64> {
        let local = now.to_zoned(TimeZone::get(&self.zone).unwrap_or(TimeZone::UTC));
        let minute = u32::from(local.hour().unsigned_abs()) * 60 + u32::from(local.minute().unsigned_abs());
        self.limits.iter().filter_map(|limit| limit.at(minute)).min()
    }
}

fn bytes(quantity: &Quantity) -> Option<u64> {
    Some(Parsed::parse(&quantity.0).ok()?.bytes().ok()?.max(MIN_BYTES_PER_SECOND))
}

fn minute_of(time: &str) -> Option<u32> {
    let (hour, minute) = time.split_once(':')?;
    Some(hour.parse::<u32>().ok()? * 60 + minute.parse::<u32>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn limit(rate: Option<&str>, hours: &[(&str, &str, &str)]) -> Option<UploadLimit> {
        let hours = hours.iter().map(|(start, end, rate)| json!({"start": start, "end": end, "uploadBytesPerSecond": rate}));
        let hours: Vec<UploadHours> = hours.map(|hours| serde_json::from_value(hours).expect("hours")).collect();
        UploadLimit::of(rate.map(|rate| Quantity(rate.to_owned())).as_ref(), &hours)
    }

    #[test]
    fn the_lowest_limit_of_the_hour_in_the_districts_zone_holds() {
        let site = limit(Some("1M"), &[("20:00", "06:00", "5M"), ("22:00", "23:00", "1k")]).expect("a limit");
        let policy = limit(None, &[("08:00", "18:00", "2M")]).expect("a limit");
        let limits = UploadLimits { zone: "Asia/Shanghai".into(), limits: vec![site, policy] };
        for (at, expected) in [
            ("2026-11-24T00:00:00Z", Some(1_000_000)),
            ("2026-11-24T11:59:59Z", Some(1_000_000)),
            ("2026-11-24T12:00:00Z", Some(5_000_000)),
            ("2026-11-24T14:30:00Z", Some(5_000_000)),
            ("2026-11-24T21:59:59Z", Some(5_000_000)),
            ("2026-11-24T22:00:00Z", Some(1_000_000)),
        ] {
            assert_eq!(limits.at(at.parse().expect("a time")), expected, "{at}");
        }
        let read: UploadLimits = serde_json::from_value(serde_json::to_value(&limits).expect("JSON")).expect("the same");
        assert_eq!(read, limits);
    }

    #[test]
    fn nothing_is_limited_that_nobody_limits_and_no_limit_is_so_low_that_nothing_arrives() {
        assert_eq!(limit(None, &[]), None);
        let slow = UploadLimits { zone: "UTC".into(), limits: limit(Some("1"), &[]).into_iter().collect() };
        assert_eq!(slow.at(Timestamp::UNIX_EPOCH), Some(MIN_BYTES_PER_SECOND));
        let by_day = UploadLimits { zone: "UTC".into(), limits: limit(None, &[("08:00", "18:00", "1M")]).into_iter().collect() };
        assert_eq!(by_day.at(Timestamp::UNIX_EPOCH), None);
    }
}
