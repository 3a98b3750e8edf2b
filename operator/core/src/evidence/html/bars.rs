//! Target against measured, as a bar.

use jiff::SignedDuration;
use maud::{Markup, html};

use super::timeline::number;
use super::words::{t, took, took_or};
use crate::evidence::report::Objective;

/// The bar's length in units, at the longer of target and measured.
const LENGTH: f64 = 300.0;

/// A bar of what was measured, with a mark where the target stands, and both in words.
pub(super) fn bar(objective: Objective) -> Markup {
    let Objective { target, measured } = objective;
    let longest = target.max(measured).unwrap_or_default().max(SignedDuration::from_secs(1)).as_secs_f64();
    let at = |duration: SignedDuration| number((LENGTH * duration.as_secs_f64() / longest).clamp(0.0, LENGTH));
    let class = match objective.met() {
        Some(true) => "good",
        Some(false) => "bad",
        None => "done",
    };
    html! {
        div.measure {
            svg.bar viewBox="0 0 304 20" preserveAspectRatio="none" aria-hidden="true" {
                rect.room x="0" y="5" width=(target.map_or_else(|| number(LENGTH), at)) height="10" {}
                @if let Some(measured) = measured { rect class=(class) x="0" y="5" width=(at(measured)) height="10" {} }
                @if let Some(target) = target { rect.mark x=(at(target)) y="1" width="2" height="18" {} }
            }
            div.figures {
                strong class=(class) { (took_or(measured, t("未测得", "not measured"))) }
                @if let Some(target) = target { span.of { (t("目标 ", "target ")) (took(target)) } } @else { span.of { (t("未定目标", "no target stated")) } }
            }
        }
    }
}
