//! What a mistyped name was perhaps meant to be.

use super::{Bilingual, both};

/// More wrong letters than these are another name.
const MOST_WRONG: usize = 3;

/// The name that looks most like what was typed, if one does: at most a third of its letters are wrong, missing, too many, or in the wrong order.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = typed.chars().count();
    let most = (letters / 3).clamp(1, MOST_WRONG);
    let wrong = |name: &str| strsim::osa_distance(&typed.to_lowercase(), &name.to_lowercase());
    let near = names.into_iter().map(|name| (wrong(name), name)).filter(|(wrong, _)| *wrong <= most && *wrong < letters);
    near.min().map(|(_, name)| name)
}

/// `, perhaps approval`; nothing if no name looks like what was typed.
pub fn perhaps<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Bilingual {
    nearest(typed, names).map_or_else(Bilingual::default, |name| both(format!(", perhaps {name}"), format!("，是否想用 {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_h22_a_name_with_a_slip_is_recognized_and_another_name_is_not() {
        let names = ["approval", "portal", "core", "shinan-core-20261124-0900", "shinan-core-20261125-0900"];
        for (typed, expected) in [
            ("aproval", Some("approval")),
            ("apporval", Some("approval")),
            ("Approval", Some("approval")),
            ("portall", Some("portal")),
            ("cor", Some("core")),
            ("shinan-core-20261125-090", Some("shinan-core-20261125-0900")),
            ("nobody", None),
            ("d", None),
            ("", None),
            ("approval-server", None),
        ] {
            assert_eq!(nearest(typed, names), expected, "{typed}");
        }
    }
}
