//! Items of the profile: present or missing (缺则补之). Provisional items are shown but never scored.

use super::facts::ApplicationFacts;
use p861_crds::{
    PlatformProfileSpec, Reason,
    platform::{
        profile::{ProfileItem, ProvidedBy, Standing},
        status::{ItemStatus, LayerStatus, State},
    },
};

/// How every item of a profile stands.
pub fn judge(profile: &PlatformProfileSpec, layers: &[LayerStatus], applications: &[ApplicationFacts]) -> Vec<ItemStatus> {
    profile.items.iter().map(|item| one(item, layers, applications)).collect()
}

fn one(item: &ProfileItem, layers: &[LayerStatus], applications: &[ApplicationFacts]) -> ItemStatus {
    let status =
        |state, reason: Option<Reason>, message: Option<String>, provided_by| ItemStatus { key: item.key.clone(), state, reason, message, provided_by };
    if item.standing == Standing::Provisional {
        return status(State::NotAssessed, Some(Reason::Provisional), None, Vec::new());
    }
    match item.provided_by {
        ProvidedBy::Layers => {
            let worst = layers.iter().filter(|layer| item.layers.contains(&layer.layer)).max_by_key(|layer| layer.state);
            match worst {
                Some(layer) if layer.state != State::Ready => status(
                    layer.state,
                    Some(if layer.state == State::Missing { Reason::LayerMissing } else { Reason::LayerWeak }),
                    Some(format!("layer {} is {}", layer.layer, layer.state)),
                    Vec::new(),
                ),
                _ => status(State::Ready, None, None, Vec::new()),
            }
        }
        ProvidedBy::Application => {
            let of_item: Vec<&ApplicationFacts> = applications.iter().filter(|application| application.profile_item.as_ref() == Some(&item.key)).collect();
            let names: Vec<String> = of_item.iter().map(|application| application.name.clone()).collect();
            if of_item.is_empty() {
                return status(State::Missing, Some(Reason::NoApplication), Some(format!("no Application declares profileItem {}", item.key)), names);
            }
            if of_item.iter().any(|application| application.ready && !application.failing) {
                return status(State::Ready, None, None, names);
            }
            status(
                State::Weak,
                Some(Reason::ApplicationNotReady),
                Some(format!("{} not ready or not healthy: p861 app status {}", names.join(", "), names[0])),
                names,
            )
        }
    }
}
