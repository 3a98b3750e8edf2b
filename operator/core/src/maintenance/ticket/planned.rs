//! The text by which people do a change: the one that was planned last. Whoever shows it, has it agreed to, compiles it or works by it asks here, and only here.

use p861_crds::{
    LocalizedText, MaintenanceTicketSpec, MaintenanceTicketStatus,
    maintenance::ticket::{RefusedAction, TicketActionKind},
};

/// The actions Plan that count, in order, by their places in `spec.actions`: those that the ticket has not refused. The last one is in force; without any, `spec.change.plan` is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned(Vec<usize>);

impl Planned {
    /// Those among the first `observed` actions.
    pub fn among(spec: &MaintenanceTicketSpec, observed: usize, refused: &[RefusedAction]) -> Self {
        let is_refused = |index: usize| refused.iter().any(|refused| usize::try_from(refused.index) == Ok(index));
        let plans = spec.actions.iter().enumerate().take(observed).filter(|(index, action)| action.action == TicketActionKind::Plan && !is_refused(*index));
        Self(plans.map(|(index, _)| index).collect())
    }

    /// Those that the operator has read, as the ticket's status says.
    pub fn of(spec: &MaintenanceTicketSpec, status: &MaintenanceTicketStatus) -> Self {
        let observed = usize::try_from(status.observed_actions.unwrap_or_default()).unwrap_or_default();
        Self::among(spec, observed, &status.refused_actions)
    }

    /// Every text that was said, the last one in force.
    pub(super) fn said<'a>(&self, spec: &'a MaintenanceTicketSpec) -> Vec<&'a str> {
        self.0.iter().filter_map(|index| spec.actions.get(*index)?.note.as_deref()).collect()
    }

    /// How the change is done; none while nobody has said it.
    pub fn text(&self, spec: &MaintenanceTicketSpec) -> Option<LocalizedText> {
        let at_opening = || spec.change.as_ref().and_then(|change| change.plan.clone());
        self.said(spec).last().map_or_else(at_opening, |said| Some(LocalizedText::written(said)))
    }
}

/// How a ticket's change is done, for those who show it; none of an incident, or while nobody has said it.
pub fn plan_text(spec: &MaintenanceTicketSpec, status: &MaintenanceTicketStatus) -> Option<LocalizedText> {
    spec.change.as_ref()?;
    Planned::of(spec, status).text(spec)
}
