//! Everything that a new ticket names is there, or the ticket is not opened.

use super::super::{Context, known};
use crate::{
    args::TicketOpen,
    error::{Failure, Result},
    hub::Hub,
    text,
};
use p861_crds::{
    Application, Backup, Drill, MaintenanceTicket, Platform, Restore,
    maintenance::{
        change::{DrainNode, UpgradeComponent},
        ticket::{Affected, Origin},
    },
    platform::status::State,
};

/// Refuses a window, an application, a site or a run that isn't there.
pub async fn refuse_unknown(context: &Context<'_>, what: &TicketOpen, affects: &Affected, drain: Option<&DrainNode>) -> Result<()> {
    let hub = &context.hub;
    if let Some(window) = &what.window {
        known::window(hub, context.printer, window).await?;
    }
    for application in &affects.application_refs {
        hub.get_here::<Application>(&application.name).await?;
    }
    let drained = drain.map(|drain| &drain.site_ref);
    for site in affects.site_refs.iter().chain(drained) {
        known::site(hub, &site.name).await?;
    }
    Ok(())
}

/// The run that caused the ticket, by the kind as the API spells it.
pub async fn origin(hub: &Hub, from: &str) -> Result<Origin> {
    let (kind, name) = match from.split_once('/') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() => (kind, name),
        _ => return Err(Failure::usage(text::not_an_origin(from))),
    };
    let kind = match kind.to_ascii_lowercase().as_str() {
        "backup" => hub.get_here::<Backup>(name).await.map(|_| "Backup")?,
        "restore" => hub.get_here::<Restore>(name).await.map(|_| "Restore")?,
        "drill" => hub.get_here::<Drill>(name).await.map(|_| "Drill")?,
        "ticket" | "maintenanceticket" => hub.get_here::<MaintenanceTicket>(name).await.map(|_| "MaintenanceTicket")?,
        _ => return Err(Failure::usage(text::not_a_kind_of_run(kind))),
    };
    Ok(Origin { kind: kind.to_owned(), name: name.to_owned() })
}

/// Refuses an upgrade to what is installed and well on every site already.
pub fn refuse_installed(platform: &Platform, upgrade: &UpgradeComponent) -> Result<()> {
    let components = platform.status.as_ref().map(|status| status.components.as_slice()).unwrap_or_default();
    let Some(seen) = components.iter().find(|seen| seen.name == upgrade.component) else { return Ok(()) };
    let is_there = |installed: Option<&str>, state: State| installed == Some(upgrade.version.as_str()) && state == State::Ready;
    if seen.sites.is_empty() || !seen.sites.iter().all(|site| is_there(site.installed.as_deref(), site.state)) {
        return Ok(());
    }
    let sites = seen.sites.iter().map(|site| site.site.as_str()).collect::<Vec<_>>().join(", ");
    Err(Failure::refused(text::already_installed(&upgrade.component, &upgrade.version, &sites)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn platform(sites: Value) -> Platform {
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Platform", "metadata": {"name": "shinan"}, "spec": {},
            "status": {"components": [{"name": "bulletin", "version": "1.1.0", "sites": sites}]}}))
        .expect("a platform")
    }

    #[test]
    fn fault_h18_an_upgrade_to_what_is_installed_everywhere_is_refused_with_the_sites() {
        let upgrade =
            |component: &str| UpgradeComponent { component: component.into(), version: "1.1.0".into(), healthy_within: "5m".into(), watch_for: "10m".into() };
        let site = |name: &str, installed: &str, state: &str| json!({"site": name, "installed": installed, "state": state});
        for (what, sites, refused) in [
            ("everywhere and well", json!([site("a", "1.1.0", "Ready"), site("b", "1.1.0", "Ready")]), true),
            ("an older one on a site", json!([site("a", "1.1.0", "Ready"), site("b", "1.0.0", "Weak")]), false),
            ("there and not well", json!([site("a", "1.1.0", "Weak"), site("b", "1.1.0", "Ready")]), false),
            ("nowhere", json!([{"site": "a", "state": "Missing"}]), false),
            ("not looked at", json!([]), false),
        ] {
            assert_eq!(refuse_installed(&platform(sites), &upgrade("bulletin")).is_err(), refused, "{what}");
        }
        let there = platform(json!([site("a", "1.1.0", "Ready"), site("b", "1.1.0", "Ready")]));
        assert!(refuse_installed(&there, &upgrade("other")).is_ok());
        let failure = refuse_installed(&there, &upgrade("bulletin")).expect_err("refused");
        assert!(failure.text.en.contains("bulletin 1.1.0 is installed on a, b already"), "{}", failure.text.en);
    }
}
