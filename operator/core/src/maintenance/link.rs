//! Links in messages, by which a person on duty acknowledges a ticket from a phone, without a kubeconfig.
//!
//! A link names everything that its seal covers, so that a forged one is known before anything is asked of the API server.

use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;
use std::fmt::Write as _;

/// What a link is for: one ticket, as it was opened then, and one person. Who has the link is the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcknowledgeLink<'a> {
    /// The ticket's namespace.
    pub namespace: &'a str,
    /// The ticket.
    pub ticket: &'a str,
    /// Its UID.
    pub uid: &'a str,
    /// When it must be acknowledged: another time if it is opened again.
    pub due: Timestamp,
    /// The person.
    pub person: &'a str,
}

/// UID and time of the opening that a link is for, as one part of its path.
pub fn opening(uid: &str, due: Timestamp) -> String {
    format!("{}-{uid}", due.as_nanosecond())
}

/// Reads [`opening`].
pub fn read_opening(text: &str) -> Option<(&str, Timestamp)> {
    let (nanoseconds, uid) = text.split_once('-')?;
    let due = Timestamp::from_nanosecond(nanoseconds.parse().ok()?).ok()?;
    // One opening has one text.
    (!uid.is_empty() && opening(uid, due) == text).then_some((uid, due))
}

/// A part of a path, with everything encoded that could be more than a part.
fn encoded(part: &str) -> String {
    part.bytes().fold(String::new(), |mut text, byte| {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        let _ = if plain { write!(text, "{}", char::from(byte)) } else { write!(text, "%{byte:02X}") };
        text
    })
}

impl AcknowledgeLink<'_> {
    fn mac(&self, key: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        for part in ["acknowledge", self.namespace, self.ticket, &opening(self.uid, self.due), self.person] {
            // With its length, so that no two links have the same text.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }

    /// The link's path.
    pub fn path(&self, key: &[u8]) -> String {
        let seal = hex::encode(self.mac(key).finalize().into_bytes());
        let parts = [self.namespace, self.ticket, self.person, &opening(self.uid, self.due), &seal].map(encoded);
        format!("/ack/{}", parts.join("/"))
    }

    /// Whether the seal is the one of this link. Takes the same time for every wrong seal.
    pub fn is_sealed(&self, key: &[u8], seal: &str) -> bool {
        hex::decode(seal).is_ok_and(|given| self.mac(key).verify_slice(&given).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINK: AcknowledgeLink<'_> = AcknowledgeLink { namespace: "shinan", ticket: "inc-1", uid: "0a-1b", due: Timestamp::UNIX_EPOCH, person: "li" };

    fn seal(link: &AcknowledgeLink<'_>, key: &[u8]) -> String {
        link.path(key).rsplit('/').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn fault_e21_a_seal_is_good_for_one_ticket_one_opening_and_one_person() {
        let good = seal(&LINK, b"key");
        assert!(LINK.is_sealed(b"key", &good) && LINK.is_sealed(b"key", &good.to_uppercase()));
        for other in [
            AcknowledgeLink { namespace: "jimo", ..LINK },
            AcknowledgeLink { ticket: "inc-2", ..LINK },
            AcknowledgeLink { uid: "0a-1c", ..LINK },
            AcknowledgeLink { due: Timestamp::from_second(1).expect("a time"), ..LINK },
            AcknowledgeLink { person: "sun", ..LINK },
            AcknowledgeLink { namespace: "shina", ticket: "ninc-1", ..LINK },
            AcknowledgeLink { ticket: "inc-", uid: "10a-1b", ..LINK },
        ] {
            assert!(!other.is_sealed(b"key", &good), "{other:?}");
        }
        for wrong in ["", "00", &good[1..], &format!("{good}00"), &good.replace(&good[..1], "x"), "not hexadecimal"] {
            assert!(!LINK.is_sealed(b"key", wrong), "{wrong}");
        }
        assert!(!LINK.is_sealed(b"other", &good));
    }

    #[test]
    fn a_path_has_its_six_parts_whatever_a_person_is_called() {
        for person in ["li", "张", "a/../b", "a b", "?x#y", "..%2f"] {
            let path = AcknowledgeLink { person, ..LINK }.path(b"key");
            assert_eq!(path.split('/').count(), 7, "{path}");
            assert!(path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~%".contains(&byte)), "{path}");
        }
        assert_eq!(LINK.path(b"key").rsplit_once('/').map(|(link, _)| link), Some("/ack/shinan/inc-1/li/0-0a-1b"));
    }

    #[test]
    fn an_opening_is_read_back_and_in_no_other_form() {
        let due: Timestamp = "2026-12-07T19:06:12.5Z".parse().expect("a time");
        assert_eq!(read_opening(&opening("0a-1b", due)), Some(("0a-1b", due)));
        for wrong in ["", "-x", "5", "5-", "05-x", "+5-x", "x-y", "99999999999999999999999999999-x"] {
            assert_eq!(read_opening(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn fault_e21_no_text_but_the_seal_is_one(given in ".{0,80}") {
            prop_assert!(!LINK.is_sealed(b"key", &given) || given.eq_ignore_ascii_case(&seal(&LINK, b"key")));
            let _ = read_opening(&given);
        }
    }
}
