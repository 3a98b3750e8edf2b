//! Names that were typed, looked up before anything is created.

use crate::{
    error::{Failure, Result},
    exit::ExitStatus,
    hub::Hub,
    printer::Printer,
    text,
};
use kube::ResourceExt as _;
use p861_crds::{DutyRoster, MaintenanceWindow, Site};

/// A site of the district; of a namespace that is no district's, any site. Who may read neither is told by the operator.
pub async fn site(hub: &Hub, name: &str) -> Result<()> {
    let Some(district) = &hub.district else {
        return match hub.find::<Site>(None, name).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => hub.get::<Site>(None, name).await.map(drop),
            Err(failure) if failure.exit == ExitStatus::Refused => Ok(()),
            Err(failure) => Err(failure),
        };
    };
    let sites: Vec<&str> = district.spec.sites.iter().map(|site| site.site_ref.name.as_str()).collect();
    if sites.contains(&name) { Ok(()) } else { Err(Failure::refused(text::unknown_site(name, &district.name_any(), &sites))) }
}

/// A person of one of the district's duty rosters. Where there is none, or none that may be read, nobody knows better.
pub async fn on_rosters(hub: &Hub, person: &str) -> Result<()> {
    let rosters = match hub.list_here::<DutyRoster>("").await {
        Ok(rosters) => rosters.items,
        Err(failure) if failure.is_forbidden => return Ok(()),
        Err(failure) => return Err(failure),
    };
    let mut people: Vec<String> = rosters.iter().flat_map(|roster| &roster.spec.people).map(|person| person.name.clone()).collect();
    people.sort();
    people.dedup();
    if people.is_empty() || people.iter().any(|known| known == person) { Ok(()) } else { Err(Failure::refused(text::not_in_rosters(person, &people))) }
}

/// A window of the district, or one of the city.
pub async fn window(hub: &Hub, printer: &Printer, name: &str) -> Result<()> {
    let (here, city) = (hub.namespace.as_str(), hub.operator_namespace.as_str());
    if hub.find::<MaintenanceWindow>(Some(here), name).await?.is_some() {
        return Ok(());
    }
    match hub.find::<MaintenanceWindow>(Some(city), name).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(Failure::refused(text::unknown_window(name, here, city, hub.place()))),
        Err(failure) if failure.exit == ExitStatus::Refused => {
            printer.warn(&text::window_may_be_citys(name, here, city));
            Ok(())
        }
        Err(failure) => Err(failure),
    }
}
