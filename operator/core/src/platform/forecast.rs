//! Forecast (适度超前): when a layer starts to use its reserve, extrapolated from daily records.

use super::{layers::say, supply::Supply};
use crate::{shown, told::Noun};
use jiff::{SignedDuration, Timestamp, ToSpan as _, tz::TimeZone};
use p861_crds::{
    Time,
    platform::{
        profile::{DemandResource, Layer},
        status::{Forecast, ForecastBasis, ForecastMethod},
    },
};
use serde::{Deserialize, Serialize};

/// Days that a line is drawn through, at least.
pub const LEAST_DAYS: i64 = 14;
/// Records that a line is drawn through, at least.
pub const LEAST_SAMPLES: usize = 8;
/// Maximum forecast: a linear trend is not valid for longer.
const HORIZON_DAYS: f64 = 5.0 * 365.0;
/// How long added capacity should last.
const AHEAD_DAYS: f64 = 365.0;
/// Records that are kept.
pub const MOST_SAMPLES: usize = 400;
/// Bytes that all records together may take: an object of Kubernetes holds little more than a mebibyte.
const MOST_BYTES: usize = 700_000;
const DAY_SECONDS: f64 = 86_400.0;

/// What there was of a resource, and what was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The layer.
    pub layer: Layer,
    /// The resource.
    pub resource: DemandResource,
    /// What it is, for people.
    pub what: String,
    /// The Site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// All of it.
    pub capacity: i64,
    /// Used of it.
    pub used: i64,
}

/// One day's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// When it was taken.
    pub at: Timestamp,
    /// Applications that ran.
    pub running: i64,
    /// Resources.
    pub rows: Vec<Row>,
}

/// A record of now.
pub fn sample(supplies: &[Supply], running: i64, now: Timestamp) -> Sample {
    let rows = supplies
        .iter()
        .filter_map(|supply| {
            Some(Row {
                layer: supply.layer,
                resource: supply.resource,
                what: supply.what.clone(),
                site: supply.site.clone(),
                capacity: supply.capacity,
                used: supply.used?,
            })
        })
        .collect();
    Sample { at: now, running, rows }
}

/// The history with one more record, if the last is of an earlier day; none if there is nothing to write. The oldest records go first.
pub fn extend(history: &[Sample], next: Sample) -> Option<Vec<Sample>> {
    let day = |sample: &Sample| sample.at.to_zoned(TimeZone::UTC).date();
    if next.rows.is_empty() || history.last().is_some_and(|last| day(last) >= day(&next)) {
        return None;
    }
    let mut all: Vec<Sample> = history.to_vec();
    all.push(next);
    let size = |sample: &Sample| serde_json::to_string(sample).map_or(0, |text| text.len() + 1);
    let mut bytes: usize = all.iter().map(size).sum();
    let mut from = all.len().saturating_sub(MOST_SAMPLES);
    bytes -= all.iter().take(from).map(size).sum::<usize>();
    while bytes > MOST_BYTES && from + 1 < all.len() {
        bytes -= size(&all[from]);
        from += 1;
    }
    Some(all.split_off(from))
}

/// A straight line: value at time 0 and change per day.
struct Line {
    at_zero: f64,
    per_day: f64,
}

/// The line of least squares through points (day, value); none if all are of one day.
#[expect(clippy::cast_precision_loss, reason = "a forecast is no ledger")]
fn fit(points: &[(f64, f64)]) -> Option<Line> {
    let n = points.len() as f64;
    let (mean_x, mean_y) = (points.iter().map(|(x, _)| x).sum::<f64>() / n, points.iter().map(|(_, y)| y).sum::<f64>() / n);
    let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let together: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    (spread > 0.0).then(|| Line { at_zero: mean_y - together / spread * mean_x, per_day: together / spread })
}

/// Forecast of one resource.
enum Outlook {
    /// Too few records.
    TooShort { days: i64 },
    /// It doesn't grow, or not so fast that the horizon is reached.
    Enough { days: i64, grows: bool },
    /// It grows into its reserve.
    Short { days: i64, at: Timestamp, add: i64 },
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a forecast is no ledger")]
fn outlook(supply: &Supply, history: &[Sample]) -> Outlook {
    let of_supply = |sample: &&Sample| sample.rows.iter().any(|row| same(row, supply));
    let (Some(first), Some(last)) = (history.iter().find(of_supply), history.iter().rev().find(of_supply)) else { return Outlook::TooShort { days: 0 } };
    let span = last.at.duration_since(first.at);
    // Records are a day apart, and taken a little later or earlier.
    let days = (span + SignedDuration::from_hours(1)).as_hours() / 24;
    let day = |at: Timestamp| at.duration_since(first.at).as_secs_f64() / DAY_SECONDS;
    let points: Vec<(f64, f64)> =
        history.iter().filter_map(|sample| Some((day(sample.at), sample.rows.iter().find(|row| same(row, supply))?.used as f64))).collect();
    if days < LEAST_DAYS || points.len() < LEAST_SAMPLES {
        return Outlook::TooShort { days };
    }
    let Some(line) = fit(&points) else { return Outlook::TooShort { days } };
    let usable = supply.usable() as f64;
    if line.per_day <= 0.0 {
        return Outlook::Enough { days, grows: false };
    }
    let crossing = (usable - line.at_zero) / line.per_day;
    if crossing > day(last.at) + HORIZON_DAYS {
        return Outlook::Enough { days, grows: true };
    }
    let at = first.at.checked_add(SignedDuration::from_secs_f64(crossing.max(0.0) * DAY_SECONDS)).unwrap_or(last.at);
    let kept = f64::from(100 - supply.reserve_percent.clamp(0, 99)) / 100.0;
    Outlook::Short { days, at, add: (line.per_day * AHEAD_DAYS / kept).ceil() as i64 }
}

fn same(row: &Row, supply: &Supply) -> bool {
    row.layer == supply.layer && row.resource == supply.resource && row.site == supply.site && (supply.site.is_some() || row.what == supply.what)
}

/// Forecast of every layer with counted resources, from its scarcest resource.
pub fn forecast(supplies: &[Supply], history: &[Sample], zone: &TimeZone) -> Vec<Forecast> {
    let basis = |days: i64| ForecastBasis { method: ForecastMethod::Linear, days: i32::try_from(days).unwrap_or(i32::MAX) };
    Layer::ALL
        .into_iter()
        .filter_map(|layer| {
            let outlooks: Vec<(&Supply, Outlook)> =
                supplies.iter().filter(|supply| supply.layer == layer && supply.used.is_some()).map(|supply| (supply, outlook(supply, history))).collect();
            let soonest = outlooks
                .iter()
                .filter_map(|(supply, outlook)| if let Outlook::Short { days, at, add } = outlook { Some((supply, *days, *at, *add)) } else { None })
                .min_by_key(|(_, _, at, _)| *at);
            if let Some((supply, days, at, add)) = soonest {
                return Some(Forecast { layer, short_time: Some(Time(day_of(at, zone))), basis: basis(days), advice: Some(advice(supply, at, add, zone)) });
            }
            let (_, weakest) = outlooks.into_iter().min_by_key(|(_, outlook)| match outlook {
                Outlook::TooShort { days } => (0, *days),
                Outlook::Enough { days, grows } => (if *grows { 1 } else { 2 }, *days),
                Outlook::Short { days, .. } => (3, *days),
            })?;
            Some(match weakest {
                Outlook::TooShort { days } => Forecast {
                    layer,
                    short_time: None,
                    basis: basis(days),
                    advice: Some(format!("{} recorded: nothing is said before there are {LEAST_DAYS}", Noun::Day.are(days))),
                },
                Outlook::Enough { days, grows } => {
                    let why = if grows { "lasts longer than five years at today's growth" } else { "what is used does not grow" };
                    Forecast { layer, short_time: None, basis: basis(days), advice: Some(why.into()) }
                }
                Outlook::Short { .. } => return None,
            })
        })
        .collect()
}

/// The day's begin in a zone: a forecast is no exacter than that, and so it is written once a day.
fn day_of(at: Timestamp, zone: &TimeZone) -> Timestamp {
    at.to_zoned(zone.clone()).start_of_day().map_or(at, |day| day.timestamp())
}

fn advice(supply: &Supply, at: Timestamp, add: i64, zone: &TimeZone) -> String {
    let month = at.to_zoned(zone.clone()).checked_sub(1.month()).map_or_else(|_| "then".to_owned(), |month| shown::month(month.timestamp(), zone));
    let place = supply.site.as_ref().map(|site| format!(" on {site}")).unwrap_or_default();
    format!("+{} of {}{place} before {month} keeps 12 months ahead", say(supply.resource, add), supply.what)
}
