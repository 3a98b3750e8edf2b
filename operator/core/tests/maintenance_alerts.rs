//! Posts of Alertmanager: what is refused, which ticket has them, and that no order of posts does harm.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use p861_core::maintenance::alerts::{Intake, ListedGroup, MOST, Part, Place, Post, Refusal, intake, parse, place};
use p861_crds::{
    District, MaintenanceTicket, MaintenanceTicketStatus, Time,
    maintenance::ticket::{AlertState, TicketAlert, TicketPhase},
};
use proptest::prelude::*;
use serde_json::{Value, json};

const GROUP: &str = "{}/{district=\"shinan\"}:{alertname=\"P861SiteUnreachable\", site=\"xinxi-dasha\"}";

fn start(minutes: i64) -> Timestamp {
    "2026-12-07T19:04:10Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

fn alert(name: &str, number: u32, firing: bool, minutes: i64, labels: Value) -> Value {
    let mut all = json!({"alertname": name, "severity": "critical", "district": "shinan"});
    all.as_object_mut().unwrap().extend(labels.as_object().unwrap().clone());
    let end = if firing { "0001-01-01T00:00:00Z".to_owned() } else { start(minutes + 30).to_string() };
    json!({"status": if firing { "firing" } else { "resolved" }, "labels": all, "annotations": {"summary": format!("{name} says so"), "summary_zh": "如此"},
        "startsAt": start(minutes).to_string(), "endsAt": end, "generatorURL": "", "fingerprint": format!("{number:016x}")})
}

fn post(alerts: Vec<Value>) -> Post {
    parse(json!({"version": "4", "groupKey": GROUP, "truncatedAlerts": 0, "status": "firing", "receiver": "p861", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://x", "alerts": alerts}).to_string().as_bytes()).unwrap()
}

fn decide(group: &str, post: &Post, tickets: &[MaintenanceTicket]) -> Intake {
    let part = Part { site: "laoshan-dr", group_key: group, truncated: post.truncated, alerts: &post.alerts };
    intake(&part, tickets, &TimeZone::get("Asia/Shanghai").unwrap())
}

#[test]
fn fault_h27_an_alert_without_chinese_words_opens_an_incident_whose_chinese_title_names_it_and_quotes_it() {
    for (annotations, zh, en) in [
        (json!({"summary": "the pod restarts", "summary_zh": "Pod 反复重启"}), "Pod 反复重启（另 1 条）", "the pod restarts (+1)"),
        (json!({"summary": "the pod restarts"}), "告警 PodCrashes：“the pod restarts”（另 1 条）", "the pod restarts (+1)"),
        (json!({}), "告警 PodCrashes（另 1 条）", "PodCrashes (+1)"),
    ] {
        let mut alerts = [alert("PodCrashes", 1, true, 0, json!({})), alert("Other", 2, true, 1, json!({}))];
        alerts[0]["annotations"] = annotations;
        let Intake::Open { spec, .. } = decide(GROUP, &post(alerts.to_vec()), &[]) else { panic!("an incident") };
        assert_eq!((spec.title.zh.as_deref(), spec.title.en.as_deref()), (Some(zh), Some(en)));
    }
}

/// A district's tickets, as posts change them.
#[derive(Default)]
struct Desk(Vec<MaintenanceTicket>);

impl Desk {
    fn take(&mut self, group: &str, post: &Post) -> Intake {
        let intake = decide(group, post, &self.0);
        match intake.clone() {
            Intake::Open { name, spec, listed } => {
                assert!(self.0.iter().all(|ticket| ticket.metadata.name.as_deref() != Some(&name)), "{name} is opened twice");
                let mut ticket = MaintenanceTicket::new(&name, *spec);
                let (alerts, truncated_alerts) = (listed.alerts, listed.truncated);
                ticket.status =
                    Some(MaintenanceTicketStatus { phase: Some(TicketPhase::Open), alerts, truncated_alerts, ..MaintenanceTicketStatus::default() });
                self.0.push(ticket);
            }
            Intake::Join { name, listed } => {
                let ticket = self.0.iter_mut().find(|ticket| ticket.metadata.name.as_ref() == Some(&name)).unwrap();
                let status = ticket.status.as_mut().unwrap();
                (status.alerts, status.truncated_alerts) = (listed.alerts, listed.truncated);
            }
            Intake::Known => {}
        }
        // The API server keeps whole seconds.
        self.0 = serde_json::from_value(serde_json::to_value(&self.0).unwrap()).unwrap();
        self.0.iter_mut().filter_map(|ticket| ticket.status.as_mut()).for_each(pass);
        intake
    }

    fn alerts(&self, index: usize) -> &[TicketAlert] {
        &self.0[index].status.as_ref().unwrap().alerts
    }

    fn phase(&self, index: usize) -> TicketPhase {
        self.0[index].status.as_ref().unwrap().phase.unwrap()
    }
}

/// What a pass over the ticket does when its alerts have ended, or fire again.
fn pass(status: &mut MaintenanceTicketStatus) {
    let fires = status.alerts.iter().any(|alert| alert.state == AlertState::Firing);
    let phase = status.phase.unwrap_or_default();
    if !fires && !status.alerts.is_empty() && !phase.is_end() {
        status.completion_time = status.alerts.iter().filter_map(|alert| alert.end_time.clone()).max_by_key(|time| time.0);
        (status.phase, status.closed_phase) = (Some(TicketPhase::Closed), Some(phase));
    } else if fires && let Some(before) = status.closed_phase.take() {
        (status.phase, status.completion_time) = (Some(before), None);
    }
}

#[test]
fn a_group_becomes_one_incident_that_is_named_after_it_and_closed_with_it() {
    let mut desk = Desk::default();
    let fires = post(vec![alert("P861SiteUnreachable", 1, true, 0, json!({"site": "xinxi-dasha"}))]);
    let Intake::Open { name, spec, .. } = desk.take(GROUP, &fires) else { panic!("no ticket was opened") };
    assert!(name.starts_with("inc-20261208-") && name.len() == "inc-20261208-3f9a".len(), "the district's day, not that of UTC: {name}");
    assert_eq!(spec.title.in_language("zh"), "如此");
    assert_eq!((spec.affects.site_refs[0].name.as_str(), spec.incident.as_ref().unwrap().runbook.as_deref()), ("xinxi-dasha", Some("P861SiteUnreachable")));
    assert_eq!(desk.take(GROUP, &fires), Intake::Known, "posted twice, opened once");
    let ended = post(vec![alert("P861SiteUnreachable", 1, false, 0, json!({"site": "xinxi-dasha"}))]);
    assert!(matches!(desk.take(GROUP, &ended), Intake::Join { .. }));
    assert_eq!(desk.phase(0), TicketPhase::Closed);
    assert_eq!(desk.take(GROUP, &fires), Intake::Known, "a late post opens nothing again");
    let anew = post(vec![alert("P861SiteUnreachable", 1, true, 90, json!({"site": "xinxi-dasha"}))]);
    assert!(matches!(desk.take(GROUP, &anew), Intake::Open { .. }), "another beginning is another ticket");
}

#[test]
fn three_hundred_alerts_of_a_dead_site_are_one_ticket() {
    let mut desk = Desk::default();
    desk.take(GROUP, &post(vec![alert("P861SiteUnreachable", 1, true, 0, json!({"site": "xinxi-dasha"}))]));
    for number in 0..300 {
        let name = format!("Alert{}", number % 7);
        let group = format!("{{}}:{{alertname=\"{name}\", instance=\"{number}\"}}");
        let joined = desk.take(&group, &post(vec![alert(&name, 100 + number, true, 1, json!({"site": "xinxi-dasha", "instance": number.to_string()}))]));
        assert!(matches!(joined, Intake::Join { .. }), "{joined:?}");
    }
    assert_eq!((desk.0.len(), desk.alerts(0).len()), (1, 301));
    // Another site's alert is another's ticket.
    desk.take("other", &post(vec![alert("Alert1", 900, true, 1, json!({"site": "laoshan-dr"}))]));
    assert_eq!(desk.0.len(), 2);
}

#[test]
fn a_group_that_alertmanager_renames_is_found_by_its_alerts() {
    let mut desk = Desk::default();
    desk.take(GROUP, &post(vec![alert("A", 1, true, 0, json!({})), alert("B", 2, true, 0, json!({}))]));
    desk.take("{}/{}:{}", &post(vec![alert("B", 2, false, 0, json!({}))]));
    assert_eq!(desk.0.len(), 1);
    assert_eq!(desk.alerts(0).iter().filter(|alert| alert.state == AlertState::Firing).count(), 1);
}

#[test]
fn an_end_is_not_taken_back_by_a_late_post_although_a_ticket_keeps_whole_seconds() {
    let at = |number, firing| {
        let mut alert = alert("P861SiteUnreachable", number, firing, 0, json!({}));
        alert["startsAt"] = json!("2026-12-07T19:04:10.197Z");
        alert
    };
    let mut desk = Desk::default();
    desk.take(GROUP, &post(vec![at(1, true), at(2, true)]));
    desk.take(GROUP, &post(vec![at(1, false), at(2, true)]));
    assert_eq!(desk.take(GROUP, &post(vec![at(1, true), at(2, true)])), Intake::Known);
}

#[test]
fn what_a_person_has_ended_stays_ended_until_the_trouble_begins_anew() {
    let mut desk = Desk::default();
    let fires = post(vec![alert("A", 1, true, 0, json!({}))]);
    desk.take(GROUP, &fires);
    desk.0[0].status.as_mut().unwrap().phase = Some(TicketPhase::Cancelled);
    assert_eq!(desk.take(GROUP, &fires), Intake::Known);
}

#[test]
fn fault_h10_what_fires_again_within_ten_minutes_is_the_same_incident_and_what_comes_later_another() {
    let mut desk = Desk::default();
    let one = |firing, minutes| post(vec![alert("A", 1, firing, minutes, json!({}))]);
    desk.take(GROUP, &one(true, 0));
    desk.take(GROUP, &one(false, 0));
    assert_eq!(desk.phase(0), TicketPhase::Closed, "it ended in minute 30");
    assert!(matches!(desk.take(GROUP, &one(true, 40)), Intake::Join { .. }), "ten minutes later");
    assert_eq!((desk.0.len(), desk.phase(0)), (1, TicketPhase::Open));
    assert_eq!(desk.take(GROUP, &one(true, 40)), Intake::Known, "posted twice, reopened once");
    assert_eq!(desk.take(GROUP, &one(false, 0)), Intake::Known, "the first end comes late");
    // A group that Alertmanager has renamed is known by its alert.
    desk.take(GROUP, &one(false, 40));
    assert!(matches!(desk.take("{}/{}:{}", &one(true, 79)), Intake::Join { .. }));
    desk.take(GROUP, &one(false, 79));
    assert!(matches!(desk.take(GROUP, &one(true, 120)), Intake::Open { .. }), "eleven minutes later");
    assert_eq!((desk.0.len(), desk.phase(0), desk.phase(1)), (2, TicketPhase::Closed, TicketPhase::Open));
}

#[test]
fn fault_h10_a_persons_own_end_holds_although_the_incident_was_reopened_before() {
    let mut desk = Desk::default();
    let one = |firing, minutes| post(vec![alert("A", 1, firing, minutes, json!({}))]);
    desk.take(GROUP, &one(true, 0));
    desk.take(GROUP, &one(false, 0));
    desk.take(GROUP, &one(true, 35));
    let status = desk.0[0].status.as_mut().unwrap();
    (status.phase, status.completion_time) = (Some(TicketPhase::Closed), Some(Time(start(36))));
    assert_eq!(desk.take(GROUP, &one(true, 35)), Intake::Known, "it still fires as it did when the person ended it");
    // Another alert of the group is news, and so is another beginning.
    let beside = post(vec![alert("A", 1, true, 35, json!({})), alert("B", 2, true, 37, json!({}))]);
    let Intake::Open { spec, .. } = decide(GROUP, &beside, &desk.0) else { panic!("no ticket of the new alert") };
    assert_eq!(spec.incident.unwrap().runbook.as_deref(), Some("B"));
    assert!(matches!(desk.take(GROUP, &one(true, 38)), Intake::Open { .. }), "it began anew");
    assert_eq!(desk.phase(0), TicketPhase::Closed);
}

#[test]
fn fault_h10_an_end_that_is_posted_before_the_ticket_was_reopened_is_not_lost() {
    let mut desk = Desk::default();
    let one = |firing, minutes| post(vec![alert("A", 1, firing, minutes, json!({}))]);
    desk.take(GROUP, &one(true, 0));
    desk.take(GROUP, &one(false, 0));
    let Intake::Join { listed, .. } = decide(GROUP, &one(true, 32), &desk.0) else { panic!("it is another incident") };
    // No pass has seen the ticket since.
    desk.0[0].status.as_mut().unwrap().alerts = listed.alerts;
    let Intake::Join { listed, .. } = decide(GROUP, &one(false, 32), &desk.0) else { panic!("nobody keeps the end") };
    assert_eq!(listed.alerts[0].state, AlertState::Resolved);
}

#[test]
fn an_alert_belongs_to_its_district_or_to_those_of_its_site_or_to_the_city() {
    let district = |name: &str, site: &str| -> District {
        let spec = json!({"code": "370202", "names": {"en": name}, "sites": [{"siteRef": {"name": site}, "role": "Primary"}]});
        District::new(name, serde_json::from_value(spec).unwrap())
    };
    let districts = [district("shinan", "xinxi-dasha"), district("shibei", "xinxi-dasha"), district("jimo", "jimo")];
    let of = |labels: Value| place(&post(vec![alert("A", 1, true, 0, labels)]).alerts[0], &districts);
    let namespaces = |names: &[&str]| Place::Districts(names.iter().map(ToString::to_string).collect());
    assert_eq!(of(json!({"site": "jimo"})), namespaces(&["shinan"]), "its own word comes first");
    assert_eq!(of(json!({"district": "", "site": "xinxi-dasha"})), namespaces(&["shibei", "shinan"]));
    assert_eq!(of(json!({"district": ""})), Place::City);
    assert!(matches!(of(json!({"district": "atlantis"})), Place::Unknown(_)));
    assert_eq!(place(&post(vec![alert("P861TicketOverdue", 1, true, 0, json!({}))]).alerts[0], &districts), Place::None, "no ticket about tickets");
}

#[test]
fn what_is_no_post_is_refused_with_what_is_wrong() {
    for (body, word, words) in [
        (json!(null), "malformed", "no post"),
        (json!({"version": "3", "groupKey": "g", "alerts": []}), "version", "version 4"),
        (json!({"version": "4", "groupKey": "", "alerts": []}), "malformed", "groupKey"),
        (json!({"version": "4", "groupKey": "g", "alerts": {}}), "malformed", "no post"),
    ] {
        let refusal: Refusal = parse(body.to_string().as_bytes()).unwrap_err();
        assert!(refusal.word() == word && refusal.to_string().contains(words), "{body}: {refusal}");
    }
}

/// What can be wrong with one alert of a post, what it is named, and what is said of it.
fn odd_alerts() -> Vec<(Value, &'static str, &'static str)> {
    let with = |change: fn(&mut Value)| {
        let mut alert = alert("Odd", 9, true, 0, json!({}));
        change(&mut alert);
        alert
    };
    vec![
        (with(|alert| alert["fingerprint"] = "../../etc".into()), "Odd", "fingerprint"),
        (with(|alert| alert["labels"]["alertname"] = "".into()), "#2", "alertname"),
        (with(|alert| alert["labels"]["alertname"] = "a\u{1b}[2J".into()), "a [2J", "alertname"),
        (with(|alert| alert["labels"]["alertname"] = "a".repeat(129).into()), "a…", "alertname"),
        (with(|alert| alert["status"] = "maybe".into()), "Odd", "neither"),
        (with(|alert| alert["startsAt"] = "yesterday".into()), "Odd", ""),
        (with(|alert| alert["labels"] = json!(["a"])), "#2", ""),
        (with(|alert| alert["labels"]["number"] = json!(7)), "Odd", "string"),
        (json!("alert"), "#2", ""),
        (json!(null), "#2", ""),
    ]
}

#[test]
fn fault_f3_an_odd_alert_is_named_and_the_others_of_its_post_count() {
    for (odd, name, why) in odd_alerts() {
        let taken = post(vec![alert("A", 1, true, 0, json!({})), odd.clone(), alert("B", 2, true, 0, json!({}))]);
        assert_eq!(taken.alerts.iter().map(|alert| alert.name.as_str()).collect::<Vec<_>>(), ["A", "B"], "{odd}");
        assert_eq!(taken.unreadable.len(), 1, "{odd}");
        let unreadable = &taken.unreadable[0];
        let named =
            name.strip_suffix('…').map_or(unreadable.name == name, |start| unreadable.name.starts_with(start) && unreadable.name.chars().count() == 128);
        assert!(named && unreadable.why.contains(why) && !unreadable.why.is_empty(), "{odd}: {unreadable}");
        assert!(!unreadable.to_string().chars().any(char::is_control), "{unreadable:?}");
        let mut desk = Desk::default();
        assert!(matches!(desk.take(GROUP, &taken), Intake::Open { .. }), "{odd}");
        assert_eq!(desk.alerts(0).len(), 2);
    }
}

#[test]
fn fault_f3_a_group_key_of_any_length_is_the_groups_alone() {
    let keyed = |key: String| parse(json!({"version": "4", "groupKey": key, "alerts": []}).to_string().as_bytes()).unwrap().group_key;
    let (long, other) = (keyed("g".repeat(5_000)), keyed(format!("{}h", "g".repeat(5_000))));
    assert!(long.chars().count() == 4_096 && other.chars().count() == 4_096 && long != other);
    assert_eq!(keyed("g".repeat(4_096)), "g".repeat(4_096));
}

fn truncated(alerts: Vec<Value>, count: u64) -> Post {
    let body =
        json!({"version": "4", "groupKey": GROUP, "truncatedAlerts": count, "receiver": "p861", "groupLabels": {"site": "xinxi-dasha"}, "alerts": alerts});
    parse(body.to_string().as_bytes()).unwrap()
}

/// A group of Alertmanager's API, with these alerts.
fn group(receiver: &str, site: &str, alerts: &[Value]) -> ListedGroup {
    let mut alerts = alerts.to_vec();
    for alert in &mut alerts {
        alert["status"] = json!({"state": "active", "silencedBy": [], "inhibitedBy": []});
        alert["receivers"] = json!([{"name": receiver}]);
    }
    serde_json::from_value(json!({"labels": {"site": site}, "receiver": {"name": receiver}, "alerts": alerts})).unwrap()
}

#[test]
fn fault_f4_what_alertmanager_left_out_of_its_post_is_taken_from_its_api() {
    let (a, b, c) = (alert("A", 1, true, 0, json!({})), alert("B", 2, true, 0, json!({})), alert("C", 3, true, 0, json!({})));
    let mut post = truncated(vec![a.clone()], 2);
    post.complete(&[
        group("p861", "xinxi-dasha", &[a.clone(), b.clone(), c.clone()]),
        group("p861", "xinxi-dasha", &[alert("Route", 7, true, 0, json!({}))]),
        group("p861", "jimo", &[a.clone(), alert("Site", 8, true, 0, json!({}))]),
        group("mail", "xinxi-dasha", &[a.clone(), alert("Receiver", 9, true, 0, json!({}))]),
    ]);
    assert_eq!(post.alerts.iter().map(|alert| alert.name.as_str()).collect::<Vec<_>>(), ["A", "B", "C"]);
    assert_eq!(post.truncated, 0);
    let mut desk = Desk::default();
    desk.take(GROUP, &post);
    assert_eq!((desk.alerts(0).len(), desk.0[0].status.as_ref().unwrap().truncated_alerts), (3, None));
    // The group has no alert that fires any more: nothing was left out.
    let mut over = truncated(vec![alert("A", 1, false, 0, json!({}))], 2);
    over.complete(&[]);
    assert_eq!((over.alerts.len(), over.truncated), (1, 0));
}

#[test]
fn fault_f4_what_was_left_out_and_can_t_be_read_is_counted_on_the_ticket_until_a_post_of_the_group_has_all() {
    let (first, second) = (alert("A", 1, true, 0, json!({})), alert("B", 2, true, 0, json!({})));
    let mut desk = Desk::default();
    let left_out = |desk: &Desk| desk.0[0].status.as_ref().unwrap().truncated_alerts;
    desk.take(GROUP, &truncated(vec![first.clone()], 41));
    assert_eq!(left_out(&desk), Some(41));
    assert_eq!(desk.take(GROUP, &truncated(vec![first.clone()], 41)), Intake::Known);
    // A group of another name that has the same alert says nothing of what this one's post left out.
    desk.take("another", &truncated(vec![first.clone(), second.clone()], 0));
    assert_eq!(left_out(&desk), Some(41));
    desk.take(GROUP, &truncated(vec![first, second], 0));
    assert_eq!(left_out(&desk), None);
}

#[test]
fn fault_f4_of_more_alerts_than_a_ticket_lists_the_gravest_are_listed_and_the_others_counted() {
    let many: Vec<Value> = (0..u32::try_from(MOST).unwrap() + 5)
        .map(|number| alert("Many", 1 + number, true, 0, json!({"severity": if number > 1_000 { "critical" } else { "info" }})))
        .collect();
    let post = post(many);
    assert_eq!((post.alerts.len(), post.truncated), (MOST, 5));
    let mut desk = Desk::default();
    desk.take(GROUP, &post);
    assert_eq!(desk.alerts(0).iter().filter(|alert| alert.severity.as_deref() == Some("critical")).count(), 4);
    assert_eq!(desk.0[0].status.as_ref().unwrap().truncated_alerts, Some(5));
    // The ticket is full: what comes besides is counted, what has ended makes room.
    let more = truncated(vec![alert("More", 5_000, true, 0, json!({}))], 0);
    desk.take(GROUP, &more);
    assert_eq!(desk.0[0].status.as_ref().unwrap().truncated_alerts, Some(1));
    let ended = alert("Many", 1, false, 0, json!({"severity": "info"}));
    desk.take(GROUP, &truncated(vec![ended, alert("More", 5_000, true, 0, json!({}))], 0));
    assert_eq!(desk.0[0].status.as_ref().unwrap().truncated_alerts, None);
    assert!(desk.alerts(0).len() == MOST && desk.alerts(0).iter().any(|alert| alert.alert_name == "More"));
}

fn posts() -> impl Strategy<Value = Vec<(u32, bool, i64)>> {
    prop::collection::vec((1..4u32, any::<bool>(), prop::sample::select(vec![0i64, 60, 120])), 1..20)
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_text_that_almost_is_a_post_makes_it_panic(version in "4?", group in ".{0,40}", name in ".{0,140}", fingerprint in "[0-9a-zA-Z/]{0,40}", start in "[0-9TZ:+.-]{0,30}", end in prop::option::of("[0-9TZ:+.-]{0,30}")) {
        let body = json!({"version": version, "groupKey": group, "alerts": [{"status": "firing", "labels": {"alertname": name}, "startsAt": start, "endsAt": end, "fingerprint": fingerprint}]});
        if let Ok(post) = parse(body.to_string().as_bytes()) {
            prop_assert!(!post.group_key.is_empty() && post.alerts.len() + post.unreadable.len() == 1);
            let _ = decide(&post.group_key.clone(), &post, &[]);
        }
    }

    #[test]
    fn posts_in_any_order_and_twice_open_each_beginning_once_and_never_take_an_end_back(posts in posts()) {
        let mut desk = Desk::default();
        let mut ended = std::collections::BTreeSet::new();
        for (number, firing, minutes) in posts {
            let one = post(vec![alert("A", number, firing, minutes, json!({}))]);
            desk.take(GROUP, &one);
            prop_assert_eq!(desk.take(GROUP, &one), Intake::Known, "the same again");
            for ticket in 0..desk.0.len() {
                for alert in desk.alerts(ticket) {
                    let key = (ticket, alert.fingerprint.clone(), alert.start_time.0);
                    if alert.state == AlertState::Resolved { ended.insert(key); } else { prop_assert!(!ended.contains(&key), "{:?} began again at the same moment", alert); }
                }
            }
        }
        let names: std::collections::BTreeSet<_> = desk.0.iter().map(|ticket| ticket.metadata.name.clone()).collect();
        prop_assert_eq!(names.len(), desk.0.len());
        let open = desk.0.iter().filter(|ticket| !ticket.status.as_ref().unwrap().phase.unwrap().is_end()).count();
        prop_assert!(open <= 1, "{} open tickets of one group", open);
    }
}
