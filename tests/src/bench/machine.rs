//! The machine that figures are taken on, and what else it does meanwhile.

use crate::install::program;
use p861_testbed::bed::{Place, Result};
use std::fs;

/// How the operator was built that is measured: `debug` or `release`.
pub fn build() -> Result<&'static str> {
    let is_release = program("p861-operator")?.parent().is_some_and(|folder| folder.ends_with("release"));
    Ok(if is_release { "release" } else { "debug" })
}

/// Other test beds that are up.
pub fn beds_beside(name: &str) -> Vec<String> {
    Place::all().into_iter().map(|place| place.name).filter(|other| other != name).collect()
}

/// How many processes wanted a processor, on the average of the last minute.
pub fn load_average() -> String {
    fs::read_to_string("/proc/loadavg").ok().and_then(|text| text.split_whitespace().next().map(str::to_owned)).unwrap_or_default()
}

/// This process's niceness: field 19 of its own line.
pub fn niceness() -> i64 {
    let line = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    line.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(16)?.parse().ok()).unwrap_or_default()
}

/// The machine's memory in MiB.
pub fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
}

/// Processors that this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(0, std::num::NonZero::get)
}
