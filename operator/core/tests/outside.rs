//! What comes from outside is read, or refused with words; whatever it is, nothing stops the program. Each kind of text is taken as people and servers write it and
//! is then damaged. `make fuzz` does the same for longer.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use p861_core::{
    maintenance::{
        alerts::{self, MOST},
        window::{DEFAULT_ZONE, Window},
    },
    objects::namespace,
    platform::{
        bundle::{
            self, MOST_BYTES, MOST_OBJECTS,
            image::{self, Layer},
        },
        profile,
    },
    quantity::Quantity,
    time::parse_duration,
};
use p861_crds::{
    PlatformProfile,
    maintenance::window::{ChangeClass, MaintenanceWindowSpec},
};
use proptest::{prelude::*, sample::Index};
use std::{collections::BTreeMap, fs, time::Instant};

/// What a parser may trip over.
const TOKENS: [&str; 24] = [
    "null",
    "{}",
    "[]",
    "---\n",
    "...",
    "&a",
    "*a",
    "<<: *a",
    "!!binary",
    "!!python/object",
    "- ",
    ": ",
    "\"",
    "'",
    "\\u0000",
    "\u{feff}",
    "1e999",
    "-0",
    "9223372036854775808",
    "\t",
    "\r\n",
    "{{",
    "%",
    "\u{202e}",
];

/// One damage.
#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Cut(Index, usize),
    Repeat(Index, usize),
    Insert(Index, usize),
    End(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (any::<Index>(), 1..64_usize).prop_map(|(at, length)| Damage::Cut(at, length)),
        (any::<Index>(), 1..256_usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
        (any::<Index>(), 0..TOKENS.len()).prop_map(|(at, token)| Damage::Insert(at, token)),
        any::<Index>().prop_map(Damage::End),
    ]
}

fn damaged(text: &[u8], all: &[Damage]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for damage in all {
        if bytes.is_empty() {
            break;
        }
        let until = |from: usize, length: usize| from.saturating_add(length).min(bytes.len());
        match damage {
            Damage::Set(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Damage::Cut(at, length) => {
                let from = at.index(bytes.len());
                drop(bytes.drain(from..until(from, *length)));
            }
            Damage::Repeat(at, length) => {
                let from = at.index(bytes.len());
                let part = bytes[from..until(from, *length)].to_vec();
                drop(bytes.splice(from..from, part));
            }
            Damage::Insert(at, token) => {
                let at = at.index(bytes.len());
                drop(bytes.splice(at..at, TOKENS[*token].bytes()));
            }
            Damage::End(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
    bytes
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    prop::collection::vec(damage(), 0..8)
}

fn shipped(path: &str) -> Vec<u8> {
    fs::read(format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

const POST: &str = r#"{"version":"4","groupKey":"{}:{alertname=\"P861SiteUnreachable\"}","status":"firing","receiver":"p861","alerts":[
{"status":"firing","labels":{"alertname":"P861SiteUnreachable","site":"xinxi-dasha","district":"shinan","severity":"critical"},"annotations":{"summary":"the site can't be reached","summary_zh":"站点失联","runbook":"runbooks/P861SiteUnreachable.md"},"startsAt":"2026-12-07T19:06:10Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"8d1c5e0a4b7f2c39"},
{"status":"resolved","labels":{"alertname":"P861PlanNotReady","district":"shinan"},"startsAt":"2026-12-07T19:06:10Z","endsAt":"2026-12-07T20:06:10Z","fingerprint":"2b90e6f1d3a85c74"}]}"#;
const BUNDLE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: shinan-cache, labels: {a: b}}\ndata: {a: b, c: \"1\"}\n---\n\
                      apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: redis\n  namespace: shinan-cache\nspec: &spec\n  replicas: 1\n  more: *spec\n";

fn ours(namespace: &str) -> bool {
    namespace.starts_with("shinan-")
}

fn bundle_of(bytes: &[u8]) -> Result<bundle::Bundle, bundle::BundleError> {
    bundle::read(&BTreeMap::from([("all.yaml".to_owned(), String::from_utf8_lossy(bytes).into_owned())]), ours)
}

fn packed() -> Vec<u8> {
    use std::io::Write as _;
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(BUNDLE.len() as u64);
    builder.append_data(&mut header, "deploy/all.yaml", BUNDLE.as_bytes()).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&builder.into_inner().unwrap()).unwrap();
    encoder.finish().unwrap()
}

proptest! {
    #[test]
    fn a_post_is_taken_or_refused(damages in damages()) {
        if let Ok(post) = alerts::parse(&damaged(POST.as_bytes(), &damages)) {
            prop_assert!(post.alerts.len() <= MOST && !post.group_key.is_empty());
            prop_assert!(post.alerts.iter().all(|alert| !alert.name.is_empty() && !alert.name.chars().any(char::is_control)));
            let zone = TimeZone::get(DEFAULT_ZONE).unwrap();
            let part = alerts::Part { site: "here", group_key: &post.group_key, truncated: post.truncated, alerts: &post.alerts };
            let first = alerts::intake(&part, &[], &zone);
            let again = alerts::intake(&part, &[], &zone);
            prop_assert_eq!(first, again, "the same post opens the same ticket");
        }
    }

    #[test]
    fn a_bundle_holds_only_what_it_may_or_is_refused(damages in damages()) {
        if let Ok(bundle) = bundle_of(&damaged(BUNDLE.as_bytes(), &damages)) {
            prop_assert!(bundle.objects.len() <= MOST_OBJECTS);
            prop_assert!(bundle.objects.iter().all(|object| ours(namespace(object)) && bundle::resource(object).is_some()));
        }
    }

    #[test]
    fn an_image_becomes_files_that_are_not_too_many_or_is_refused(damages in damages(), kind in 0..4_usize, title in prop::option::of("[a-z./]{0,12}")) {
        let media_type = ["application/vnd.cncf.flux.content.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar", "text/yaml", ""][kind];
        let layer = Layer { media_type: media_type.into(), title, bytes: damaged(&packed(), &damages) };
        if let Ok(files) = image::files(&[layer.clone(), layer]) {
            prop_assert!(files.values().map(String::len).sum::<usize>() <= MOST_BYTES);
        }
    }

    #[test]
    fn a_profile_is_judged_or_is_none(damages in damages(), which in 0..3_usize) {
        let text = shipped(&format!("charts/p861/files/profiles/{}.yaml", ["861-2008", "851-2011", "686-2016"][which]));
        if let Ok(profile) = serde_saphyr::from_str::<PlatformProfile>(&String::from_utf8_lossy(&damaged(&text, &damages))) {
            let counts = profile::counts(&profile.spec);
            prop_assert!(counts.scored + counts.provisional <= counts.total);
            prop_assert!(!profile::judge(&profile.spec).message.is_empty());
        }
    }

    #[test]
    fn a_window_opens_when_it_says_or_is_refused(damages in damages(), hours in 0..200_i64, second in 0..4_000_000_000_i64) {
        let text = r#"{"timeZone": "Asia/Shanghai", "changeClasses": ["Normal"], "recurrences": [{"schedule": "0 22 * * 6", "duration": "6h"}], "dates": [{"startTime": "2026-12-01T00:00:00Z", "endTime": "2026-12-01T02:00:00Z"}], "freezes": [{"name": "visit", "startTime": "2026-12-05T00:00:00Z", "endTime": "2026-12-06T00:00:00Z"}]}"#;
        let Ok(spec) = serde_json::from_slice::<MaintenanceWindowSpec>(&damaged(text.as_bytes(), &damages)) else { return Ok(()) };
        let Ok(window) = Window::parse(&spec, DEFAULT_ZONE) else { return Ok(()) };
        let (at, takes) = (Timestamp::from_second(second).unwrap(), SignedDuration::from_hours(hours));
        let since = Instant::now();
        if let Some(opens) = window.fits(ChangeClass::Normal, &spec.freezes, at, takes) {
            prop_assert!(opens >= at && window.at(ChangeClass::Normal, &spec.freezes, opens).open);
        }
        prop_assert!(since.elapsed().as_secs() < 20, "a pass can't wait for {spec:?}");
    }

    #[test]
    fn amounts_and_durations_are_read_or_refused(text in "\\PC{0,24}", number in "[+-]?[0-9]{0,40}(\\.[0-9]{0,40})?([eE][+-]?[0-9]{0,12})?[a-zA-Z]{0,3}") {
        for text in [&text, &number] {
            if let Ok(quantity) = Quantity::parse(text) {
                let _ = (quantity.ones(), quantity.thousandths(), quantity.bytes());
            }
            let _ = parse_duration(text);
        }
    }
}

#[test]
fn what_grows_when_it_is_read_is_refused_soon() {
    let laughs = (1..40).map(|level| format!("l{level}: &l{level} [{}]\n", format!("*l{}, ", level - 1).repeat(9))).collect::<Vec<_>>().concat();
    let deep = |open: &str| open.repeat(50_000);
    for text in [format!("l0: &l0 [lol]\n{laughs}"), deep("["), deep("{a: "), deep("- "), format!("a: {}", deep("["))] {
        let since = Instant::now();
        assert!(bundle_of(text.as_bytes()).is_err());
        assert!(serde_saphyr::from_str::<PlatformProfile>(&text).is_err());
        assert!(since.elapsed().as_secs() < 20, "it takes {:?} to refuse {}", since.elapsed(), &text[..20]);
    }
    assert!(alerts::parse(deep("[").as_bytes()).is_err());
    assert!(alerts::parse(POST.replace("\"4\"", &deep("{\"a\":")).as_bytes()).is_err());
}
