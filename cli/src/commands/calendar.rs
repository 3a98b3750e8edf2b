//! `p861 backup calendar`

use super::{Context, list::full_name};
use crate::{
    args::BackupCalendar,
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Line, Table},
    hub::Hub,
    printer::Output,
    text::{self, Bilingual, Language},
};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use kube::ResourceExt as _;
use p861_core::{
    protection::policy::{
        calendar::{Day, calendar},
        holding::holding,
        standing,
        terms::Terms,
    },
    schedule::DEFAULT_ZONE,
    time::human_duration,
};
use p861_crds::{Application, BackupPolicy};
use serde_json::{Value, json};

/// So many times of a day are named one by one.
const MAX_NAMED: usize = 4;

/// A day's backups of a policy.
#[derive(Debug, PartialEq)]
struct Entry {
    day: Day,
    policy: String,
    applications: usize,
}

/// What is shown.
#[derive(Debug, Default)]
struct Found {
    entries: Vec<Entry>,
    /// Of policies that have none of their days here.
    remarks: Vec<Bilingual>,
}

/// Shows which backups begin when.
pub async fn perform(context: &Context<'_>, what: &BackupCalendar) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    let policies = hub.list_here::<BackupPolicy>("").await?;
    policies.unreadable.iter().for_each(|why| printer.warn(why));
    let one = match &what.application {
        Some(name) => Some(hub.get_here::<Application>(name).await?.object),
        None => None,
    };
    let applications = match &one {
        Some(application) => vec![application.clone()],
        None => hub.list_here::<Application>("").await?.items,
    };
    let zone = zone_of(hub);
    let found = found(&policies.items, &applications, one.as_ref(), (&zone, hub.clock.now, what.days));
    let zone = TimeZone::get(&zone).map_err(|error| Failure::unexpected(text::told(&error.to_string())))?;
    match printer.output {
        Output::Json | Output::Yaml => {
            let time = |time: &Timestamp| time.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
            let day = |Entry { day, policy, applications }: &Entry| {
                let times: Vec<String> = day.times.iter().map(time).collect();
                json!({"day": day.date.to_string(), "policy": policy, "applications": applications, "times": times})
            };
            let days: Vec<Value> = found.entries.iter().map(day).collect();
            let (api_version, kind) = ("cli.platform861.io/v1", "BackupCalendar");
            printer.structure(&json!({"apiVersion": api_version, "kind": kind, "namespace": hub.namespace, "application": what.application, "days": days}))?;
        }
        Output::Name => policies.items.iter().for_each(|policy| printer.line(&Line::of(full_name::<BackupPolicy>(&policy.name_any())))),
        Output::Table | Output::Wide | Output::Html => {
            if policies.is_empty() {
                printer.remark(&text::no_policies(&hub.namespace));
            } else if found.entries.is_empty() && found.remarks.is_empty() {
                printer.remark(&text::nothing_begins(what.days, hub.place()));
            } else if !found.entries.is_empty() {
                printer.lines(&table(&found.entries, &zone, printer.language));
            }
            found.remarks.iter().for_each(|remark| printer.remark(remark));
        }
    }
    Ok(ExitStatus::Good)
}

/// The zone of the district's schedules.
fn zone_of(hub: &Hub) -> String {
    hub.district.as_ref().map_or_else(|| DEFAULT_ZONE.to_owned(), |district| district.spec.time_zone.clone())
}

/// The days of all policies, or of the one that holds for an application, in their order.
fn found(policies: &[BackupPolicy], applications: &[Application], one: Option<&Application>, (zone, now, days): (&str, Timestamp, u8)) -> Found {
    let mut found = Found::default();
    if let Some(application) = one
        && holding(application, policies).policy().is_none()
    {
        found.remarks.push(text::told(&standing::no_policy(application, holding(application, policies))));
    }
    for policy in policies {
        let name = policy.name_any();
        let number = applications.iter().filter(|application| holding(application, policies).policy().is_some_and(|of| of.name_any() == name)).count();
        if one.is_some() && number == 0 {
            continue;
        }
        let terms = match Terms::parse(&policy.spec, zone, now) {
            Ok(terms) => terms,
            Err(error) => {
                found.remarks.push(text::told(&format!("policy {name} takes no backups: {error}")));
                continue;
            }
        };
        if let Some(suspended) = &terms.suspended {
            found.remarks.push(text::told(&standing::suspended(&name, suspended, terms.schedule.zone())));
        }
        let uid = one.map(|application| application.metadata.uid.clone().unwrap_or_default());
        let days = calendar(&terms, uid.as_deref(), now, days);
        found.entries.extend(days.into_iter().map(|day| Entry { day, policy: name.clone(), applications: number }));
    }
    found.entries.sort_by(|a, b| (a.day.date, a.day.times.first(), &a.policy).cmp(&(b.day.date, b.day.times.first(), &b.policy)));
    found
}

/// A line for each day and policy. A day is named once.
fn table(entries: &[Entry], zone: &TimeZone, language: Language) -> Vec<Line> {
    let mut table = Table::new(language, &[text::DAY, text::TIMES, text::POLICY, text::APPLICATIONS]).spare(&[text::APPLICATIONS]);
    let mut before: Option<Date> = None;
    for entry in entries {
        let day = if before == Some(entry.day.date) { String::new() } else { text::weekday_and_date(entry.day.date).pick(language).to_owned() };
        before = Some(entry.day.date);
        let times = times(&entry.day.times, zone);
        table.row(vec![Line::of(day), Line::of(times.pick(language)), Line::of(&entry.policy), Line::of(entry.applications.to_string())]);
    }
    table.lines()
}

/// `02:00, 14:00`, `every 10m, 00:00–23:50`, or `9 times, 08:00–18:30`.
fn times(times: &[Timestamp], zone: &TimeZone) -> Bilingual {
    let local = |time: &Timestamp| time.to_zoned(zone.clone()).strftime("%H:%M").to_string();
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return Bilingual::default() };
    if times.len() <= MAX_NAMED {
        let all = times.iter().map(local).collect::<Vec<_>>().join(" ");
        return Bilingual { zh: all.clone(), en: all };
    }
    let gaps: Vec<SignedDuration> = times.windows(2).filter_map(|pair| if let [one, next] = pair { Some(next.duration_since(*one)) } else { None }).collect();
    match gaps.first().filter(|gap| gaps.iter().all(|other| other == *gap)) {
        Some(gap) => text::every(&human_duration(*gap), &local(first), &local(last)),
        None => text::so_many_times(times.len(), &local(first), &local(last)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, schedule: &str, more: &Value) -> BackupPolicy {
        let mut spec = json!({"repositoryRef": {"name": "main"}, "schedule": schedule});
        spec.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "BackupPolicy", "metadata": {"name": name}, "spec": spec}))
            .expect("a policy")
    }

    fn application(name: &str, policy: &str) -> Application {
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application", "metadata": {"name": name, "uid": name},
            "spec": {"department": "d", "namespaces": [name], "backupPolicyRef": {"name": policy}}}))
        .expect("an application")
    }

    fn shown(one: Option<&str>, language: Language) -> (Vec<String>, Vec<String>) {
        let policies = [
            policy("critical", "*/10 * * * *", &json!({})),
            policy("office", "0,20 8-10 * * *", &json!({})),
            policy("nightly", "0 2,14 * * *", &json!({"jitter": "0s"})),
            policy("resting", "0 2 * * *", &json!({"state": "Suspended", "suspension": {"reason": "moved"}})),
            policy("wrong", "0 2 30 2 *", &json!({})),
        ];
        let applications = [application("a", "critical"), application("b", "nightly"), application("c", "nightly")];
        let one = one.and_then(|name| applications.iter().find(|application| application.name_any() == name));
        let all = if let Some(one) = one { vec![one.clone()] } else { applications.to_vec() };
        let now = "2026-11-24T00:05:00Z".parse().expect("a time");
        let found = found(&policies, &all, one, ("Asia/Shanghai", now, 2));
        let lines = table(&found.entries, &TimeZone::get("Asia/Shanghai").expect("a zone"), language);
        let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        (lines.iter().map(|line| words(line.to_string())).collect(), found.remarks.iter().map(|remark| remark.pick(language).to_owned()).collect())
    }

    #[test]
    fn a_week_is_a_line_for_each_day_and_policy_and_says_what_takes_none() {
        let (lines, remarks) = shown(None, Language::En);
        let expected = [
            "DAY TIMES POLICY APPLICATIONS",
            "Tue 2026-11-24 every 10m, 08:10–23:50 critical 1",
            "5 times, 08:20–10:20 office 0",
            "14:00 nightly 2",
            "Wed 2026-11-25 every 10m, 00:00–23:50 critical 1",
            "02:00 14:00 nightly 2",
            "6 times, 08:00–10:20 office 0",
        ];
        assert_eq!(lines, expected);
        assert_eq!(remarks.len(), 2, "{remarks:?}");
        assert_eq!(remarks[0], "policy resting is suspended (moved)");
        let (lines, _) = shown(None, Language::Zh);
        assert_eq!(lines[1], "2026-11-24（周二） 每 10分钟，08:10–23:50 critical 1");
    }

    #[test]
    fn of_one_application_only_its_own_policy_is_listed() {
        let (lines, remarks) = shown(Some("b"), Language::En);
        assert_eq!(lines[1..], ["Tue 2026-11-24 14:00 nightly 1", "Wed 2026-11-25 02:00 14:00 nightly 1"]);
        assert_eq!(remarks, Vec::<String>::new());
    }
}
