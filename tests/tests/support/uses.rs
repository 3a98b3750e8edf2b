//! What the operator's source asks of API servers: every call of every `Api<Kind>`, read from `operator/src` and `operator/runs/src`, as the right that it needs.
//!
//! A call that this can't make out is an error, not a gap: whoever writes one in another form teaches it here.

mod source;

use regex::Regex;
use source::{Source, calls, sources};
use std::collections::{BTreeMap, BTreeSet};

/// Whose rights they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// The operator on the hub.
    Hub,
    /// The same in its own namespace.
    Lease,
    /// The operator on a site.
    Site,
    /// A mover of a backup, or of a stream in either direction.
    Backup,
    /// A mover that writes objects.
    Restore,
    /// A mover that reads cluster-scoped objects, by names that the site's administrator lists.
    ClusterBackup,
    /// The operator on a site, in a component's namespaces while it is installed.
    Installer,
    /// The operator on a site, in a drill's copy while it is deleted.
    Cleaner,
    /// The operator on a site, in the first namespace of a drill's copy.
    CopyMaker,
    /// The DNS of a drill's copy, in the copy's namespaces.
    CopyDns,
}

/// The rights that each needs, as `verb resource.group/subresource`, and where each is needed.
pub type Uses = BTreeMap<Actor, BTreeMap<String, String>>;

const GROUP: &str = "platform861.io";
const OURS: [(&str, &str); 16] = [
    ("Site", "sites"),
    ("District", "districts"),
    ("PlatformProfile", "platformprofiles"),
    ("Platform", "platforms"),
    ("Application", "applications"),
    ("BackupRepository", "backuprepositories"),
    ("BackupPolicy", "backuppolicies"),
    ("RecoveryPlan", "recoveryplans"),
    ("Backup", "backups"),
    ("Restore", "restores"),
    ("Drill", "drills"),
    ("MaintenanceWindow", "maintenancewindows"),
    ("ChangeTemplate", "changetemplates"),
    ("MaintenanceTicket", "maintenancetickets"),
    ("Approval", "approvals"),
    ("DutyRoster", "dutyrosters"),
];
const RUNS: [&str; 3] = ["backups", "restores", "drills"];
const OF_NAMES: [&str; 2] = ["services", "endpointslices.discovery.k8s.io"];
const WORKLOADS: [&str; 3] = ["deployments.apps", "statefulsets.apps", "daemonsets.apps"];

/// The resources behind a type. A generic parameter stands for all of our kinds; what a DynamicObject is stands in the text around it, by name.
fn resources(kind: &str, file: &str, around: &[&str]) -> Vec<String> {
    let ours = || OURS.map(|(_, plural)| format!("{plural}.{GROUP}")).to_vec();
    let bare = kind.trim_end_matches('>').rsplit(['<', ':']).next().unwrap_or(kind);
    if let Some((_, plural)) = OURS.iter().find(|(name, _)| *name == bare) {
        return vec![format!("{plural}.{GROUP}")];
    }
    let one = match bare {
        // A run's finalizer; a repository has runs, too.
        "K" if file == "finalizer.rs" => return RUNS.iter().chain(&["backuprepositories"]).map(|plural| format!("{plural}.{GROUP}")).collect(),
        // An ended run that leaves the hub.
        "K" if file == "controllers/history.rs" => return RUNS.iter().chain(&["maintenancetickets"]).map(|plural| format!("{plural}.{GROUP}")).collect(),
        // What names of a copy follow from.
        "K" if file == "copy_dns/known.rs" => return OF_NAMES.map(ToOwned::to_owned).to_vec(),
        // Workloads, one kind after the other.
        "K" if file == "sites/view.rs" => return WORKLOADS.map(ToOwned::to_owned).to_vec(),
        "K" | "Kind" => return ours(),
        "DynamicObject" if matches!(file, "driver.rs" | "reconciler.rs") => return ours(),
        "DynamicObject" if file == "movers/cluster.rs" => {
            return p861_core::objects::CLUSTER_KINDS.iter().map(|kind| format!("{}.{}", kind.plural, kind.group).trim_end_matches('.').to_owned()).collect();
        }
        "DynamicObject" if file.starts_with("movers/") || file == "effects/bubble/remains.rs" => "*",
        "DynamicObject" if file.starts_with("effects/component") => {
            let full = |(group, _, _, plural): (&str, &str, &str, &str)| if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
            return p861_core::platform::bundle::KINDS.map(full).to_vec();
        }
        // Every kind that runs pods.
        "DynamicObject" if file == "effects/workloads.rs" => {
            let full = |(group, _, _, plural): (&str, &str, &str, &str)| if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
            return p861_core::objects::Runner::ALL.map(|runner| full(runner.names())).to_vec();
        }
        "DynamicObject" => {
            let named = around.iter().map(|text| by_name(text)).find(|named| !named.is_empty());
            return named.unwrap_or_else(|| panic!("{file}: which resource is this DynamicObject?"));
        }
        // Who asks about himself needs no right.
        "SelfSubjectReview" => return Vec::new(),
        "$kind" => return WORKLOADS.map(ToOwned::to_owned).to_vec(),
        "Node" => "nodes",
        "ServiceCIDR" => "servicecidrs.networking.k8s.io",
        "EndpointSlice" => "endpointslices.discovery.k8s.io",
        "Pod" => "pods",
        "Event" => "events",
        "PodTemplate" => "podtemplates",
        "Service" => "services",
        "Secret" => "secrets",
        "ConfigMap" => "configmaps",
        "Namespace" => "namespaces",
        "ResourceQuota" => "resourcequotas",
        "ServiceAccount" => "serviceaccounts",
        "PersistentVolume" => "persistentvolumes",
        "PersistentVolumeClaim" => "persistentvolumeclaims",
        "StorageClass" => "storageclasses.storage.k8s.io",
        "Ingress" => "ingresses.networking.k8s.io",
        "ValidatingAdmissionPolicy" => "validatingadmissionpolicies.admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding" => "validatingadmissionpolicybindings.admissionregistration.k8s.io",
        "NetworkPolicy" => "networkpolicies.networking.k8s.io",
        "RoleBinding" => "rolebindings.rbac.authorization.k8s.io",
        "ClusterRoleBinding" => "clusterrolebindings.rbac.authorization.k8s.io",
        "Lease" => "leases.coordination.k8s.io",
        "Job" => "jobs.batch",
        "Deployment" => "deployments.apps",
        "StatefulSet" => "statefulsets.apps",
        "DaemonSet" => "daemonsets.apps",
        other => panic!("{file}: which resource is {other} ({kind})?"),
    };
    vec![one.to_owned()]
}

/// Resources that a text names by group, version, kind and plural.
fn by_name(text: &str) -> Vec<String> {
    let pattern = Regex::new(r#"\("([a-z0-9.]*)", "v\w+", "\w+", "([a-z]+)"\)"#).expect("a pattern");
    pattern.captures_iter(text).map(|named| if named[1].is_empty() { named[2].to_owned() } else { format!("{}.{}", &named[2], &named[1]) }).collect()
}

/// How a function says of which object it writes: what is applied with the UID of one that is gone is refused, and nothing is made.
const OF_THIS_OBJECT: &str = r#""uid": object.uid()"#;

/// A right on a resource: verb and subresource.
type Right = (&'static str, &'static str);

/// The rights that one call needs; with the text of its function until the call.
fn verbs(method: &str, arguments: &str, before: &str, place: &str) -> Vec<Right> {
    match method {
        "get" | "get_opt" | "get_metadata" | "get_metadata_opt" => vec![("get", "")],
        // A page whose objects are kept as they come is asked for by address.
        "list" | "list_metadata" | "resource_url" => vec![("list", "")],
        // Its client by itself asks for nothing.
        "clone" => Vec::new(),
        "create" => vec![("create", "")],
        "replace" => vec![("update", "")],
        "delete" => vec![("delete", "")],
        // An object that is applied and not there is created.
        "patch" if arguments.contains("Patch::Apply") && !before.contains(OF_THIS_OBJECT) => vec![("patch", ""), ("create", "")],
        "patch" => vec![("patch", "")],
        "patch_status" => vec![("patch", "/status")],
        "log_stream" => vec![("get", "/log")],
        // With websockets the first request is a get; newer API servers ask for create as well.
        "exec" => vec![("get", "/exec"), ("create", "/exec")],
        "attach" => vec![("get", "/attach"), ("create", "/attach")],
        "evict" => vec![("create", "/eviction")],
        "portforward" => vec![("get", "/portforward"), ("create", "/portforward")],
        other => panic!("{place}: which right does .{other}() need?"),
    }
}

/// Who calls: by the client that the Api is made with, else by file and function.
fn actors(file: &str, function: &str, made_with: &str) -> Vec<Actor> {
    if made_with.contains("hub.client") || made_with.contains("self.hub") {
        return vec![Actor::Hub];
    }
    match (file, function) {
        ("leader.rs", _) => vec![Actor::Lease],
        (
            "alertmanager.rs"
            | "maintenance/alerts.rs"
            | "controller.rs"
            | "controllers/mod.rs"
            | "controllers/platform/history.rs"
            | "controllers/run.rs"
            | "controllers/window.rs"
            | "reconciler.rs"
            | "effects/backup.rs"
            | "finalizer.rs"
            | "hub.rs"
            | "journal.rs"
            | "journal/record.rs"
            | "maintenance/links.rs"
            | "main.rs"
            | "replica.rs"
            | "maintenance/notify.rs"
            | "own_networks.rs"
            | "repository.rs"
            | "secrets.rs"
            | "status.rs",
            _,
        )
        | ("effects/component.rs", "read" | "store" | "files") => vec![Actor::Hub],
        // People get their roles on the hub and on the sites alike.
        ("controllers/access.rs", "bind" | "give" | "take_back") => vec![Actor::Hub, Actor::Site],
        ("movers/cluster.rs", _) => vec![Actor::ClusterBackup],
        ("movers/save.rs" | "movers/kinds.rs" | "movers/streams.rs", _) => vec![Actor::Backup],
        (mover, _) if mover.starts_with("movers/restore") => vec![Actor::Restore],
        (mover, _) if mover.starts_with("movers/") => panic!("{mover}: whose rights are these?"),
        ("effects/component.rs", "write") => vec![Actor::Installer],
        ("effects/bubble/remains.rs", "list_kind" | "remove_finalizers") => vec![Actor::Cleaner],
        ("effects/bubble/dns.rs", "serve") => vec![Actor::CopyMaker],
        ("copy_dns/known.rs", _) => vec![Actor::CopyDns],
        ("sites/pods.rs", "with_uid" | "target" | "attach") => vec![Actor::Site, Actor::Backup],
        _ => vec![Actor::Site],
    }
}

/// What each function does with an Api that it is given.
type Given = BTreeMap<String, Vec<Right>>;

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

fn given(sources: &[Source]) -> Given {
    let parameter = pattern(r"(\w+):\s*&Api<");
    let mut given = Given::new();
    for source in sources {
        for taken in parameter.captures_iter(&source.text) {
            let (function, end) = source.function(taken.get(0).expect("all").start());
            let from = taken.get(0).expect("all").end();
            for (method, open) in calls(&source.text[from..end], &taken[1]) {
                given.entry(function.to_owned()).or_default().extend(source.needed(method, from + open));
            }
        }
    }
    given
}

/// The forms in which the source makes an Api and uses it.
struct Forms {
    constructor: Regex,
    bound: Regex,
    made: Regex,
    direct: Regex,
    inferred: Regex,
    returned: Regex,
    maker: Regex,
    lent: Regex,
    method: Regex,
}

impl Forms {
    fn new() -> Self {
        Self {
            constructor: pattern(r"\bApi(?:::<[^>]+>)?::(?:all|all_with|namespaced|namespaced_with|default_namespaced)\("),
            bound: pattern(r"let\s+(\w+):\s*Api<(.+?)>\s*=\s*(Api::\w+\(|match\b)"),
            made: pattern(r"let\s+(\w+)\s*=\s*Api::<([^>]+)>::\w+\([^;]*\);"),
            direct: pattern(r"\bApi::<([^>]+)>::\w+\("),
            inferred: pattern(r"let\s+\w+:\s*(?:Option<)?(\w+)>?\s*=\s*(Api::\w+)\("),
            returned: pattern(r"let Some\((\w+)\) = api_of\("),
            maker: pattern(r"fn (\w+)\([^)]*\) -> Api<(\w+)>"),
            lent: pattern(r"\b(\w+)\(&$"),
            method: pattern(r"^\s*\.(\w+)\("),
        }
    }
}

/// One file while it is read.
struct Reading<'a> {
    source: &'a Source,
    forms: &'a Forms,
    given: &'a Given,
    /// The functions of the file that make an Api, and of which kind.
    makers: Vec<(String, String)>,
    /// Where the Apis are made that are accounted for.
    understood: BTreeSet<usize>,
    found: &'a mut Uses,
}

impl<'a> Reading<'a> {
    fn of(source: &'a Source, forms: &'a Forms, given: &'a Given, found: &'a mut Uses) -> Self {
        let makers = forms.maker.captures_iter(&source.text).map(|made| (made[1].to_owned(), made[2].to_owned())).collect();
        Self { source, forms, given, makers, understood: BTreeSet::new(), found }
    }

    fn note(&mut self, kind: &str, at: usize, made_with: &str, needed: &[Right]) {
        let Source { file, text, .. } = self.source;
        let (function, start, end) = self.source.around(at);
        for actor in actors(file, function, made_with) {
            for resource in resources(kind, file, &[made_with, &text[start..end], text]) {
                for (verb, sub) in needed {
                    add(self.found, actor, verb, &format!("{resource}{sub}"), format!("{file}:{}", self.source.line(at)));
                }
            }
        }
    }

    /// What a function does with an Api that it is handed.
    fn handed(&self, function: &str) -> &'a [Right] {
        self.given.get(function).unwrap_or_else(|| panic!("{}: what does {function} do with an Api?", self.source.file))
    }

    /// The variables that hold an Api: name, kind, and where the statement begins.
    fn variables(&self) -> Vec<(String, String, usize)> {
        let (forms, text) = (self.forms, self.source.text.as_str());
        let bound = forms.bound.captures_iter(text).chain(forms.made.captures_iter(text));
        let bound = bound.map(|found| (found[1].to_owned(), found[2].to_owned(), found.get(0).expect("all").start()));
        let returned = forms.returned.captures_iter(text);
        let returned = returned.map(|found| (found[1].to_owned(), "DynamicObject".to_owned(), found.get(0).expect("all").start()));
        // From a function of the file that makes an Api.
        let from_maker = self.makers.iter().flat_map(|(name, kind)| {
            let taken = pattern(&format!(r"let\s+(\w+)\s*=\s*(?:self\.)?{name}\([^;]*\);"));
            taken.captures_iter(text).map(|found| (found[1].to_owned(), kind.clone(), found.get(0).expect("all").start())).collect::<Vec<_>>()
        });
        bound.chain(returned).chain(from_maker).collect()
    }

    /// Every call on a variable in its function, also by functions that it is handed to.
    fn through_variables(&mut self) {
        let text = self.source.text.as_str();
        for (name, kind, start) in self.variables() {
            let from = start + text[start..].find(';').expect("a statement ends");
            let made_with = &text[start..from];
            self.understood.extend(self.forms.constructor.find_iter(made_with).map(|found| start + found.start()));
            let (_, end) = self.source.function(start);
            // Until the name is given to something else; what that is made of may still be the Api.
            let renamed = pattern(&format!(r"let\s+(?:mut\s+)?{name}\b[^;]*;")).find(&text[from..end]);
            let end = renamed.map_or(end, |again| from + again.end());
            for (method, open) in calls(&text[from..end], &name) {
                self.note(&kind, from + open, made_with, &self.source.needed(method, from + open));
            }
            for call in pattern(&format!(r"\b(\w+)\((?:\w+, )?&{name}\s*[,)]")).captures_iter(&text[from..end]) {
                self.note(&kind, from + call.get(0).expect("all").start(), made_with, self.handed(&call[1]));
            }
        }
    }

    /// Every Api that is used at once.
    fn directly(&mut self) {
        let (forms, source, text) = (self.forms, self.source, self.source.text.as_str());
        for found in forms.direct.captures_iter(text).chain(forms.inferred.captures_iter(text)) {
            let all = found.get(0).expect("all");
            let (open, start) = (all.end() - 1, found.get(2).map_or(all.start(), |constructor| constructor.start()));
            let made_with = source.inside(open);
            if !self.understood.insert(start) {
                continue;
            }
            let after = open + made_with.len() + 2;
            if let Some(to) = forms.lent.captures(&text[..start]) {
                self.note(&found[1], start, made_with, self.handed(&to[1]));
                continue;
            }
            let call = forms.method.captures(&text[after..]);
            let call = call.unwrap_or_else(|| panic!("{}:{}: what is done with this Api?", source.file, source.line(start)));
            self.note(&found[1], start, made_with, &source.needed(&call[1], after + call.get(0).expect("all").end() - 1));
        }
    }

    /// Every call on what a function of the file makes.
    fn through_makers(&mut self) {
        let (forms, source, text) = (self.forms, self.source, self.source.text.as_str());
        for (name, kind) in self.makers.clone() {
            for found in pattern(&format!(r"\b{name}\(")).find_iter(text).filter(|found| !text[..found.start()].ends_with("fn ")) {
                let made_with = source.inside(found.end() - 1);
                let after = found.end() + made_with.len() + 1;
                // Without a call it is given to a variable, which was seen to.
                if let Some(call) = forms.method.captures(&text[after..]) {
                    self.note(&kind, found.start(), "", &source.needed(&call[1], after + call.get(0).expect("all").end() - 1));
                }
            }
        }
    }

    /// Stops at an Api that none of the above has accounted for.
    fn leaves_nothing(&self) {
        let Source { file, text, .. } = self.source;
        for found in self.forms.constructor.find_iter(text) {
            let function = self.source.function(found.start()).0;
            let handed = function == "api_of" || self.makers.iter().any(|(name, _)| name == function);
            assert!(
                handed || self.understood.contains(&found.start()),
                "{file}:{}: an Api that this test does not understand",
                self.source.line(found.start())
            );
        }
    }
}

fn add(found: &mut Uses, actor: Actor, verb: &str, resource: &str, place: String) {
    found.entry(actor).or_default().entry(format!("{verb} {resource}")).or_insert(place);
}

/// Reads the source.
pub fn uses() -> Uses {
    let (forms, sources) = (Forms::new(), sources());
    let given = given(&sources);
    let mut found = Uses::new();
    for source in &sources {
        let mut reading = Reading::of(source, &forms, &given, &mut found);
        reading.through_variables();
        reading.directly();
        reading.through_makers();
        reading.leaves_nothing();
    }
    without_api(&sources, &mut |actor, verb, resource, place| add(&mut found, actor, verb, resource, place));
    found
}

/// The requests of `movers/restore/place.rs`, and their verbs.
const OF_A_RESTORE: [(&str, &str); 6] = [
    ("self.kind.get(", "get"),
    ("self.kind.create(", "create"),
    ("self.kind.patch(", "patch"),
    ("self.kind.replace(", "update"),
    ("self.kind.delete(", "delete"),
    ("kind.list_metadata(", "list"),
];

/// What goes another way than by an `Api`, and what one right needs beside it.
fn without_api(sources: &[Source], add: &mut impl FnMut(Actor, &str, &str, String)) {
    let mut all = |actor: Actor, verbs: &[&str], resource: &str, place: &str| {
        for verb in verbs {
            add(actor, verb, resource, place.to_owned());
        }
    };
    let mut counted = BTreeMap::new();
    for source in sources {
        let mut each = |words: &str, perform: &mut dyn FnMut(String)| {
            let pattern = Regex::new(&words.split(' ').map(regex::escape).collect::<Vec<_>>().join(r"\s*")).expect("a pattern");
            for at in pattern.find_iter(&source.text).map(|found| found.start()) {
                *counted.entry(words.to_owned()).or_insert(0_usize) += 1;
                perform(format!("{}:{}", source.file, source.line(at)));
            }
        };
        each("Controller::new(Api::<HubObject<R::Kind>>::all", &mut |place| {
            for (_, plural) in OURS {
                all(Actor::Hub, &["list", "watch"], &format!("{plural}.{GROUP}"), &place);
            }
        });
        each("Recorder::new(", &mut |place| all(Actor::Hub, &["create", "patch"], "events.events.k8s.io", &place));
        each("answer::of_page(", &mut |place| all(Actor::Site, &["get"], "services/proxy", &place));
        each("ours::apply(&bindings, ", &mut |place| all(Actor::Site, &["bind"], "clusterroles.rbac.authorization.k8s.io", &place));
        each("bindings .patch(name, ", &mut |place| {
            all(Actor::Hub, &["bind"], "clusterroles.rbac.authorization.k8s.io", &place);
            all(Actor::Site, &["bind"], "clusterroles.rbac.authorization.k8s.io", &place);
        });
        // Whatever runs pods is stopped and started without reading what it has become.
        each("client.request_text(kind.patch(", &mut |place| {
            for resource in resources("DynamicObject", "effects/workloads.rs", &[]) {
                all(Actor::Site, &["patch"], &resource, &place);
            }
        });
        // A restore sends and reads objects as they are.
        for (call, verb) in OF_A_RESTORE {
            each(call, &mut |place| all(Actor::Restore, &[verb], "*", &place));
        }
        // Admission asks for it when a mover's Job is made.
        each("jobs.create(&PostParams::default(), &job)", &mut |place| all(Actor::Site, &["run"], "movers.platform861.io", &place));
        // Roles and RoleBindings are among what is restored.
        each("pub async fn restore(", &mut |place| all(Actor::Restore, &["escalate", "bind"], "*", &place));
        each("watcher(api, watcher::Config", &mut |place| {
            for resource in OF_NAMES {
                all(Actor::CopyDns, &["list", "watch"], resource, &place);
            }
        });
        // It speaks to webhooks and Alertmanagers, and to no API server.
        if source.file == "http_client.rs" {
            continue;
        }
        for other in [".request(", ".request_text(", ".request_status(", ".request_stream(", "watcher(", "metadata_watcher(", "reflector("] {
            assert!(
                !source.text.contains(other)
                    || (source.file == "copy_dns/known.rs" && other == "watcher(")
                    || (["effects/workloads.rs", "movers/save.rs", "movers/restore/place.rs"].contains(&source.file.as_str()) && other == ".request_text("),
                "{}: {other} goes past this test: teach it which right that needs",
                source.file
            );
        }
    }
    for (words, times) in [
        ("Controller::new(Api::<HubObject<R::Kind>>::all", 1),
        ("Recorder::new(", 1),
        ("answer::of_page(", 1),
        ("ours::apply(&bindings, ", 1),
        ("bindings .patch(name, ", 1),
        ("client.request_text(kind.patch(", 1),
        ("self.kind.get(", 1),
        ("self.kind.create(", 1),
        ("self.kind.patch(", 3),
        ("self.kind.replace(", 1),
        ("self.kind.delete(", 1),
        ("kind.list_metadata(", 1),
        ("jobs.create(&PostParams::default(), &job)", 1),
        ("pub async fn restore(", 1),
        ("watcher(api, watcher::Config", 1),
    ] {
        assert_eq!(counted.get(words), Some(&times), "{words:?} stands elsewhere or not at all: teach this test");
    }
}
