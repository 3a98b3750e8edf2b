//! What a backup and a restore have left out, as their status has it and in words.

use crate::{engine::Evidence, runs::RunOutcome};
use p861_crds::protection::backup::LeftOut;
use std::collections::BTreeMap;

/// The objects that a restore left out, or its preview would, by reason, with the first names of each.
pub(super) fn of_restore(run: &RunOutcome<'_>) -> Vec<LeftOut> {
    let mut by_reason: BTreeMap<&str, LeftOut> = BTreeMap::new();
    for evidence in run.objects_restored().into_values() {
        let (Evidence::ObjectsRestored { left_out, left_out_names, .. } | Evidence::RestorePreviewed { left_out, left_out_names, .. }) = evidence else {
            continue;
        };
        for (reason, count) in left_out {
            let of_it = by_reason.entry(reason).or_insert_with(|| LeftOut { reason: reason.clone(), count: 0, names: Vec::new() });
            of_it.count = of_it.count.saturating_add_unsigned(*count);
            // A release before this one counted them only.
            of_it.names.extend(left_out_names.iter().filter_map(|names| names.first.get(reason)).flatten().cloned());
        }
    }
    by_reason.into_values().collect()
}

/// `2 BeingDeleted (Secret n/a, …), 1 Finished (Job n/b)`.
fn listed(left_out: &[LeftOut]) -> String {
    let text = |LeftOut { reason, count, names }: &LeftOut| match names.first() {
        Some(first) => format!("{count} {reason} ({first}{})", if *count > 1 { ", …" } else { "" }),
        None => format!("{count} {reason}"),
    };
    left_out.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// What a backup left out: `; left out: 2 BeingDeleted (Secret n/a, …)`. Empty if that is nothing.
pub(super) fn backup_text(left_out: &[LeftOut]) -> String {
    if left_out.is_empty() { String::new() } else { format!("; left out: {}", listed(left_out)) }
}

/// What a restore left out: `; 3 left out: 3 not selected (Secret n/a, …)`. Empty if that is nothing. `verb` is "left out" or "would be left out".
pub(super) fn restore_text(left_out: &[LeftOut], verb: &str) -> String {
    let number = left_out.iter().fold(0_i64, |sum, left| sum.saturating_add(left.count));
    if number == 0 { String::new() } else { format!("; {number} {verb}: {}", listed(left_out)) }
}
