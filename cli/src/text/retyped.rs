//! What was typed, with a name put right: the hub knows the names, the line is known from the beginning.

use super::{Bilingual, both, perhaps::nearest};
use crate::hub::quoted;
use std::{ffi::OsString, sync::OnceLock};

/// The line that this process was started with, its program called as people call it.
static TYPED: OnceLock<Vec<String>> = OnceLock::new();

/// Says what was typed, once.
pub fn settle_line(program: &str, words: &[OsString]) {
    let words = words.iter().skip(1).map(|word| word.to_string_lossy().into_owned());
    // A process has one line.
    let _ = TYPED.set(std::iter::once(program.to_owned()).chain(words).collect());
}

/// The line that was typed, with another name in the place of one; none if that one does not stand there once.
pub fn retyped(wrong: &str, right: &str) -> Option<String> {
    line_with(TYPED.get()?, wrong, right)
}

/// `; type p861 -d shinan status`, where one of the names looks like what was typed; else nothing.
pub fn type_with<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Bilingual {
    let line = nearest(wrong, names).and_then(|right| retyped(wrong, right));
    line.map_or_else(Bilingual::default, |line| both(format!("; type {line}"), format!("；请输入 {line}")))
}

fn line_with(words: &[String], wrong: &str, right: &str) -> Option<String> {
    // A name may stand behind its option, or behind its kind.
    let before = |word: &String| word.strip_suffix(wrong).filter(|before| before.is_empty() || before.ends_with(['=', '/'])).map(ToOwned::to_owned);
    let mut places = words.iter().enumerate().skip(1).filter_map(|(at, word)| Some((at, before(word)?)));
    let ((place, before), None) = (places.next()?, places.next()) else { return None };
    let mut line = words.to_vec();
    *line.get_mut(place)? = before + right;
    let (program, rest) = line.split_first()?;
    Some(rest.iter().fold(program.clone(), |line, word| line + " " + &quoted(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_typed_again_with_the_name_that_was_meant() {
        for (typed, wrong, right, expected) in [
            ("p861 -d shinan drill run cor", "cor", "core", Some("p861 -d shinan drill run core")),
            ("kubectl-p861 --district=shinann status", "shinann", "shinan", Some("kubectl-p861 --district=shinan status")),
            ("p861 ticket open t --from drill/cor", "cor", "core", Some("p861 ticket open t --from drill/core")),
            ("p861 drill skip d objects", "objects", "portal objects", Some("p861 drill skip d 'portal objects'")),
            // Which of the two is wrong the line doesn't say.
            ("p861 -d cor drill run cor", "cor", "core", None),
            ("p861 drill list", "cor", "core", None),
            ("cor drill run", "cor", "core", None),
        ] {
            let words: Vec<String> = typed.split(' ').map(ToOwned::to_owned).collect();
            assert_eq!(line_with(&words, wrong, right).as_deref(), expected, "{typed}");
        }
    }

    #[test]
    fn where_nothing_looks_like_it_nothing_is_to_be_typed() {
        assert_eq!(type_with("zzz", ["approval"]), Bilingual::default());
    }
}
