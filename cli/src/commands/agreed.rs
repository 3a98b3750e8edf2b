//! The compiled steps of a change or a plan, for those who agree to them: read beside the object, and shown only if the object's digest is theirs.
//!
//! The digest is computed here, from the very steps that are shown: what stands in a ConfigMap is not believed.

use super::page::{self, is_bad};
use crate::{
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Clock, Line, Table, Tone, elapsed},
    hub::{Hub, Read},
    run::{Outline, label},
    text::{self, Bilingual, Language, Word},
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use p861_core::{
    engine::{Journal, Outcome, Plan, Step, StepTimeline, summary},
    maintenance::ticket::is_digest_of,
    names,
    runs::Action,
};
use p861_crds::{Condition, ConditionType, MaintenanceTicket, RecoveryPlan};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::sleep;

/// The key of the whole plan.
const PLAN: &str = "plan.json";
/// The key of a run's records.
const RECORDS: &str = "journal.jsonl";
/// Steps and digest are written one after the other: those that differ are read again so often.
const LOOKS: u32 = 4;
/// Time between looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(400);

/// Compiled steps whose digest is the object's.
pub struct Steps {
    /// The noun of the views that show how they go on, if one does.
    seen_as: Option<&'static str>,
    plan: Plan<Action>,
    /// Where each stands, in the plan's order; empty before they begin.
    course: Vec<StepTimeline>,
}

/// What there is to show.
pub enum Shown {
    /// The object has no steps that anybody could agree to.
    Nothing,
    /// Its steps.
    Steps(Box<Steps>),
    /// They are not those of the object's digest, or not there yet: nobody should agree to them.
    Withheld(Bilingual),
    /// This person may not read them.
    Forbidden(Bilingual),
}

/// A ticket, and its steps.
pub async fn of_ticket(hub: &Hub, name: &str) -> Result<(Read<MaintenanceTicket>, Shown)> {
    let mut look = 1;
    loop {
        let read = hub.get_here::<MaintenanceTicket>(name).await?;
        let shown = steps_of_ticket(hub, &read.object).await?;
        if look == LOOKS || !matches!(shown, Shown::Withheld(_)) {
            return Ok((read, shown));
        }
        look += 1;
        sleep(BETWEEN_LOOKS).await;
    }
}

/// A plan, and its steps.
pub async fn of_plan(hub: &Hub, name: &str) -> Result<(Read<RecoveryPlan>, Shown)> {
    let mut look = 1;
    loop {
        let read = hub.get_here::<RecoveryPlan>(name).await?;
        let shown = steps_of_plan(hub, &read.object).await?;
        if look == LOOKS || !matches!(shown, Shown::Withheld(_)) {
            return Ok((read, shown));
        }
        look += 1;
        sleep(BETWEEN_LOOKS).await;
    }
}

async fn steps_of_ticket(hub: &Hub, ticket: &MaintenanceTicket) -> Result<Shown> {
    let Some(status) = ticket.status.as_ref().filter(|status| status.plan_digest.is_some()) else { return Ok(Shown::Nothing) };
    let about = About { kind: "ticket", name: ticket.name_any() };
    // Once they have begun, they stand beside their journal.
    if let Some(map) = status.journal.as_ref().and_then(|journal| journal.location.strip_prefix("configmap:")?.rsplit('/').next()) {
        match texts(hub, map).await? {
            Ok(texts) if texts.contains_key(PLAN) => return Ok(about.judge(&texts, map, |digest| is_digest_of(&ticket.spec, status, digest))),
            Ok(_) => {}
            Err(why) => return Ok(Shown::Forbidden(why)),
        }
    }
    let map = names::steps_of_ticket(&about.name);
    Ok(match texts(hub, &map).await? {
        Ok(texts) => about.judge(&texts, &map, |digest| is_digest_of(&ticket.spec, status, digest)),
        Err(why) => Shown::Forbidden(why),
    })
}

async fn steps_of_plan(hub: &Hub, plan: &RecoveryPlan) -> Result<Shown> {
    let status = plan.status.as_ref();
    let compiles = |conditions: &[Condition]| page::condition(conditions, ConditionType::Ready).is_none_or(|ready| !is_bad(ready));
    // The steps of a plan that doesn't compile any more are another plan's.
    let Some(stated) = status.filter(|status| compiles(&status.conditions)).and_then(|status| status.plan_digest.as_deref()) else { return Ok(Shown::Nothing) };
    let about = About { kind: "plan", name: plan.name_any() };
    let map = names::steps_of_plan(&about.name);
    Ok(match texts(hub, &map).await? {
        Ok(texts) => about.judge(&texts, &map, |digest| digest == stated),
        Err(why) => Shown::Forbidden(why),
    })
}

/// The texts of a ConfigMap; none of one that isn't there. Who may not read it is told so.
async fn texts(hub: &Hub, map: &str) -> Result<std::result::Result<BTreeMap<String, String>, Bilingual>> {
    match hub.config_map(map).await {
        Ok(texts) => Ok(Ok(texts.unwrap_or_default())),
        Err(failure) if failure.exit == ExitStatus::Refused => Ok(Err(failure.text)),
        Err(failure) => Err(failure),
    }
}

/// Whose steps they are.
struct About {
    kind: &'static str,
    name: String,
}

impl About {
    fn judge(&self, texts: &BTreeMap<String, String>, map: &str, is_theirs: impl Fn(&str) -> bool) -> Shown {
        let (kind, name) = (self.kind, self.name.as_str());
        // Those of a plan are called as in the view of its drills.
        let seen_as = (kind == "plan").then_some("drill");
        let Some(plan) = texts.get(PLAN) else { return Shown::Withheld(text::steps_missing(kind, name, map)) };
        let unreadable = |why: String| Shown::Withheld(text::steps_unreadable(kind, name, map, &why));
        let plan: Plan<Action> = match serde_json::from_str(plan) {
            Ok(plan) => plan,
            Err(error) => return unreadable(error.to_string()),
        };
        if !is_theirs(plan.digest()) {
            return Shown::Withheld(text::steps_differ(kind, name, map));
        }
        let Some(records) = texts.get(RECORDS) else { return Shown::Steps(Box::new(Steps { seen_as, plan, course: Vec::new() })) };
        let course = Journal::from_lines(records).map_err(|error| error.to_string()).and_then(|journal| {
            let summed = summary(&plan, &journal, Timestamp::now()).map_err(|error| error.to_string())?;
            Ok(summed.timeline)
        });
        match course {
            Ok(course) => Shown::Steps(Box::new(Steps { seen_as, plan, course })),
            Err(why) => unreadable(why),
        }
    }
}

impl Shown {
    /// The steps, if there are any.
    ///
    /// # Errors
    /// If they can't be shown: they are not left out silently.
    pub fn steps(&self) -> Result<Option<&Steps>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Steps(steps) => Ok(Some(steps)),
            Self::Withheld(why) | Self::Forbidden(why) => Err(Failure::refused(why.clone())),
        }
    }

    /// The lines under a page.
    pub fn lines(&self, head: Word, clock: &Clock, language: Language) -> Vec<Line> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Withheld(why) | Self::Forbidden(why) => vec![Line::toned(Tone::Warn, "! ").with(why.pick(language))],
            Self::Steps(steps) => {
                let mut lines = vec![Line::toned(Tone::Strong, head.pick(language))];
                lines.extend(steps.lines(clock, language));
                lines
            }
        }
    }
}

impl Steps {
    /// What a step is called: its name in the views, or else its id.
    fn name(&self, step: &Step<Action>, language: Language) -> String {
        self.seen_as.map_or_else(|| step.id.to_string(), |noun| label(noun, step.id.as_str(), language))
    }

    /// In the form of the plan's other views.
    pub fn outline(&self) -> Outline {
        Outline::of(&self.plan)
    }

    /// A line each: where it stands, what it does, how long an attempt may take, and what its failure means.
    pub fn lines(&self, clock: &Clock, language: Language) -> Vec<Line> {
        let begun = !self.course.is_empty();
        let mut heads = vec![text::STEP, text::DEADLINE];
        heads.extend(begun.then_some(text::STARTED));
        heads.push(text::WORK);
        let mut table = Table::new(language, &heads);
        for (at, step) in self.plan.steps().iter().enumerate() {
            let course = self.course.get(at);
            let mut row = vec![mark(course).with(self.name(step, language)), deadline(step, language)];
            row.extend(begun.then(|| times(course, clock, language)));
            let work = Line::of(text::step_does(step).pick(language));
            // Of one that has ended it is known.
            let may_fail = course.is_none_or(|course| course.outcome == Outcome::Open);
            row.push(if may_fail { work.tone(Tone::Dim, text::if_it_fails(step).pick(language)) } else { work });
            table.row(row);
        }
        table.lines()
    }
}

fn deadline(step: &Step<Action>, language: Language) -> Line {
    Line::of(text::measured(step.deadline, language))
}

fn mark(course: Option<&StepTimeline>) -> Line {
    let Some(course) = course else { return Line::toned(Tone::Dim, "· ") };
    match course.outcome {
        Outcome::Done => Line::toned(Tone::Good, "✓ "),
        Outcome::Failed | Outcome::Cancelled => Line::toned(Tone::Bad, "✗ "),
        Outcome::Skipped | Outcome::NotReached | Outcome::NotRun => Line::toned(Tone::Warn, "↷ "),
        Outcome::Undone => Line::toned(Tone::Warn, "↶ "),
        Outcome::Open if course.started.is_some() => Line::toned(Tone::Strong, "▸ "),
        Outcome::Open => Line::toned(Tone::Dim, "· "),
    }
}

/// `03:04:12 done 0:09`.
fn times(course: Option<&StepTimeline>, clock: &Clock, language: Language) -> Line {
    let Some(course) = course else { return page::dash() };
    let said = text::outcome(course.outcome).map(|word| word.pick(language).to_owned());
    let took = course.started.zip(course.ended).filter(|_| said.is_some()).map(|(started, ended)| elapsed(ended.duration_since(started)));
    let parts = [course.started.map(|time| clock.moment(time)), said, took];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { page::dash() } else { Line::of(parts.join(" ")) }
}
