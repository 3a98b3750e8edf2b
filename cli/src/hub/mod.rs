//! Access to the hub through the person's kubeconfig, with that person's permissions.

mod connect;
mod explain;
mod follow;
mod lead;
mod names;
mod read;
mod write;

pub use connect::{connect_site, contexts, site_client};
pub use explain::{SiteAccount, at_site as explain_at_site};
pub use follow::{Seen, follow};
pub use lead::{Heartbeat, Leaderless, follow_lead};
pub use names::{names_quietly, steps_quietly};
pub use read::{Kind, Listing, Read, name_of};
pub use write::{Refused, Run, append, append_action, create_run, create_stamped};

use crate::{
    args::Global,
    error::{Failure, Result},
    format::{Clock, default_zone},
    text::{self, Bilingual},
};
use jiff::tz::TimeZone;
use kube::{Client, ResourceExt};
use p861_crds::District;

/// A connection to the hub, and the district that is meant.
#[derive(Clone)]
pub struct Hub {
    /// The client.
    pub client: Client,
    /// The API server's address, for messages.
    pub address: String,
    /// The namespace that is meant.
    pub namespace: String,
    /// Its district, if it is one's and can be read.
    pub district: Option<District>,
    /// Now, in the district's time zone; in the product's own where the District can't be read.
    pub clock: Clock,
    /// Where the operator runs.
    pub operator_namespace: String,
    /// The operator's sign of life when the hub was first asked, if the person may see it.
    pub heartbeat: Option<Heartbeat>,
    /// Warnings to print first.
    pub remarks: Vec<Bilingual>,
    /// The options that lead here again.
    place: String,
    /// Why commands about a district can't be meant, if they can't.
    nowhere: Option<Bilingual>,
}

/// What `-d`, `-n` or the context's namespace means.
enum Meant {
    /// A district.
    District(Box<District>),
    /// A namespace that is no district's, or whose District this person may not read.
    Namespace { readable: bool },
    /// Nothing that anybody has named, and why that is not enough.
    Nowhere(Bilingual),
}

impl Hub {
    /// Connects, and finds the district that is meant: `-d`, `-n`, or the context's namespace.
    pub async fn connect(global: &Global) -> Result<Self> {
        let (client, address, default_namespace) = connect::connect(global).await?;
        let mut hub = Self {
            client,
            address,
            // A district's namespace has its name, unless the District says otherwise.
            namespace: global.district.as_ref().or(global.namespace.as_ref()).cloned().unwrap_or(default_namespace),
            district: None,
            clock: Clock::in_zone(default_zone()),
            operator_namespace: global.operator_namespace.clone(),
            heartbeat: None,
            remarks: Vec::new(),
            place: place(global),
            nowhere: None,
        };
        let (meant, heartbeat) = tokio::join!(hub.meant(global), hub.read_heartbeat());
        match heartbeat {
            Ok(heartbeat) => hub.heartbeat = heartbeat,
            Err(failure) => hub.remarks.push(text::lead_unknown(&failure.text)),
        }
        match meant? {
            Meant::District(district) => hub.enter(*district),
            Meant::Namespace { readable: true } => {}
            Meant::Namespace { readable: false } => hub.remarks.push(text::zone_unreadable(&hub.namespace)),
            Meant::Nowhere(why) => hub.nowhere = Some(why),
        }
        Ok(hub)
    }

    /// Finds what is meant. A district that is named is read by its name: nobody needs to list the others for that. Who may not read it either works in the namespace
    /// of its name, with what his roles there permit.
    async fn meant(&self, global: &Global) -> Result<Meant> {
        if let Some(name) = &global.district {
            return match self.find::<District>(None, name).await {
                Ok(Some(found)) => Ok(Meant::District(Box::new(found.object))),
                // The list tells a name that nobody has from an API server that is no hub.
                Ok(None) => {
                    let names: Vec<String> = self.list::<District>(None, "").await?.items.iter().map(ResourceExt::name_any).collect();
                    Err(Failure::refused(text::no_such_district(name, &names)))
                }
                Err(failure) if failure.is_forbidden => Ok(Meant::Namespace { readable: false }),
                Err(failure) => Err(failure),
            };
        }
        let districts = match self.list::<District>(None, "").await {
            Ok(districts) => districts.items,
            Err(failure) if failure.is_forbidden => return Ok(Meant::Namespace { readable: false }),
            Err(failure) => return Err(failure),
        };
        if let Some(district) = districts.iter().find(|district| district.hub_namespace() == self.namespace) {
            return Ok(Meant::District(Box::new(district.clone())));
        }
        Ok(nobodys(&self.namespace, global, &districts))
    }

    fn enter(&mut self, district: District) {
        district.hub_namespace().clone_into(&mut self.namespace);
        let zone = &district.spec.time_zone;
        match TimeZone::get(zone) {
            Ok(zone) => self.clock = Clock::in_zone(zone),
            // An invalid District must not prevent access to its drills.
            Err(_) => self.remarks.push(text::unknown_zone(&district.name_any(), zone)),
        }
        self.district = Some(district);
    }

    /// An error unless a district, or a namespace by name, is meant. What holds for the whole hub doesn't ask.
    pub fn must_be_somewhere(&self) -> Result<()> {
        self.nowhere.clone().map_or(Ok(()), |why| Err(Failure::usage(why)))
    }

    /// The options that lead to the same district again, for commands that are printed: ` -d shinan`. Empty if none were needed.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// A command as it must be typed to mean this district. What isn't ours stays as it is.
    pub fn typed(&self, command: &str) -> String {
        typed(command, &self.place)
    }
}

/// What a namespace means that is no district's. The operator's own has what is the city's; on a hub without districts, one that is named is what it is.
fn nobodys(namespace: &str, global: &Global, districts: &[District]) -> Meant {
    let names: Vec<String> = districts.iter().map(ResourceExt::name_any).collect();
    match &global.namespace {
        Some(_) if districts.is_empty() || *namespace == global.operator_namespace => Meant::Namespace { readable: true },
        Some(_) => Meant::Nowhere(text::no_district_named(namespace, &names)),
        None => Meant::Nowhere(text::no_district_meant(namespace, &names)),
    }
}

/// A command with the options of a place. What isn't ours stays as it is.
pub fn typed(command: &str, place: &str) -> String {
    if command.starts_with("p861 ") { format!("{command}{place}") } else { command.to_owned() }
}

/// The options that were typed to come here.
pub fn place(global: &Global) -> String {
    let kubeconfig = global.kubeconfig.as_ref().map(|file| file.display().to_string());
    let options =
        [("--kubeconfig", &kubeconfig), ("--context", &global.context), ("-d", &global.district), ("-n", &global.namespace), ("--as", &global.as_user)];
    let typed = options.into_iter().filter_map(|(option, value)| Some((option, value.as_ref().filter(|value| !value.is_empty())?)));
    let all = typed.chain(global.as_group.iter().map(|group| ("--as-group", group)));
    all.fold(String::new(), |place, (option, value)| place + " " + option + " " + &quoted(value))
}

/// A word as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@=+,%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_commands_lead_back_to_where_they_were_printed() {
        let global =
            Global { district: Some("shinan".into()), context: Some("hub of laoshan".into()), kubeconfig: Some("/home/li/it's".into()), ..Global::default() };
        assert_eq!(place(&global), r" --kubeconfig '/home/li/it'\''s' --context 'hub of laoshan' -d shinan");
        assert_eq!(place(&Global::default()), "", "the kubeconfig's own context needs no option");
    }

    #[test]
    fn a_namespace_of_no_district_is_refused_whether_it_is_typed_or_the_kubeconfigs() {
        let district: District = serde_json::from_value(serde_json::json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District",
            "metadata": {"name": "shinan"}, "spec": {"code": "370202", "names": {"en": "Shinan"}, "sites": [{"siteRef": {"name": "a"}, "role": "Primary"}]}}))
        .expect("a district");
        let of = |typed: Option<&str>, namespace: &str, districts: &[District]| {
            let global = Global { namespace: typed.map(Into::into), operator_namespace: "p861-system".into(), ..Global::default() };
            match nobodys(namespace, &global, districts) {
                Meant::Nowhere(why) => Some(why.en),
                Meant::District(_) | Meant::Namespace { .. } => None,
            }
        };
        let one = [district];
        let said = "namespace default belongs to no district: use -d DISTRICT instead of -n; available: shinan";
        assert_eq!(of(Some("default"), "default", &one).as_deref(), Some(said));
        let slip = of(Some("shinann"), "shinann", &one).expect("refused");
        assert!(slip.contains("belongs to no district, perhaps shinan: use -d"), "{slip}");
        assert!(of(None, "default", &one).is_some_and(|said| said.contains("of the kubeconfig")));
        assert_eq!(of(Some("p861-system"), "p861-system", &one), None, "what is the city's");
        assert_eq!(of(Some("default"), "default", &[]), None, "there are no districts that it could belong to");
    }

    #[test]
    fn fault_h25_printed_commands_act_as_the_same_person() {
        let global = Global { as_user: Some("system:serviceaccount:a:b".into()), as_group: vec!["one".into(), "the other".into()], ..Global::default() };
        assert_eq!(place(&global), " --as system:serviceaccount:a:b --as-group one --as-group 'the other'");
        let typed = typed("p861 drill list", &place(&Global { as_group: vec!["one".into()], ..global }));
        assert!(crate::args::understands(&typed), "{typed}");
    }
}
