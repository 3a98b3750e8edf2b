//! What the operator's source asks of API servers: every call of every `Api<Kind>`, read from `operator/src` and `operator/runs/src`, as the right that it needs.
//!
//! A call that this can't make out is an error, not a gap: whoever writes one in another form teaches it here.

use super::root;
use regex::Regex;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

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
    /// The operator on a site, in a component's namespaces while it is installed.
    Installer,
}

/// The rights that each needs, as `verb resource.group/subresource`, and where each is needed.
pub type Uses = BTreeMap<Actor, BTreeMap<String, String>>;

const GROUP: &str = "platform861.io";
const OURS: [(&str, &str); 14] = [
    ("Site", "sites"),
    ("District", "districts"),
    ("PlatformProfile", "platformprofiles"),
    ("Platform", "platforms"),
    ("Application", "applications"),
    ("BackupRepository", "backuprepositories"),
    ("RecoveryPlan", "recoveryplans"),
    ("Backup", "backups"),
    ("Restore", "restores"),
    ("Drill", "drills"),
    ("MaintenanceWindow", "maintenancewindows"),
    ("MaintenanceTicket", "maintenancetickets"),
    ("Approval", "approvals"),
    ("DutyRoster", "dutyrosters"),
];
const RUNS: [&str; 3] = ["backups", "restores", "drills"];
const WORKLOADS: [&str; 3] = ["deployments.apps", "statefulsets.apps", "daemonsets.apps"];

/// The resources behind a type. A generic parameter stands for all of our kinds; what a DynamicObject is stands in the text around it, by name.
fn resources(kind: &str, file: &str, around: &[&str]) -> Vec<String> {
    let ours = || OURS.map(|(_, plural)| format!("{plural}.{GROUP}")).to_vec();
    let bare = kind.trim_end_matches('>').rsplit(['<', ':']).next().unwrap_or(kind);
    if let Some((_, plural)) = OURS.iter().find(|(name, _)| *name == bare) {
        return vec![format!("{plural}.{GROUP}")];
    }
    let one = match bare {
        // A run's finalizer.
        "K" if file == "finalizer.rs" => return RUNS.map(|plural| format!("{plural}.{GROUP}")).to_vec(),
        "K" | "Kind" => return ours(),
        "DynamicObject" if file == "drive.rs" => return ours(),
        "DynamicObject" if file.starts_with("movers/") => "*",
        "DynamicObject" if file.starts_with("effects/component") => {
            let full = |(group, _, _, plural): (&str, &str, &str, &str)| if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
            return p861_core::platform::bundle::KINDS.map(full).to_vec();
        }
        "DynamicObject" => {
            let named = around.iter().map(|text| by_name(text)).find(|named| !named.is_empty());
            return named.unwrap_or_else(|| panic!("{file}: which resource is this DynamicObject?"));
        }
        // Who asks about himself needs no right.
        "SelfSubjectReview" => return Vec::new(),
        "$kind" => return WORKLOADS.map(ToOwned::to_owned).to_vec(),
        "Node" => "nodes",
        "Pod" => "pods",
        "Service" => "services",
        "Secret" => "secrets",
        "ConfigMap" => "configmaps",
        "Namespace" => "namespaces",
        "ServiceAccount" => "serviceaccounts",
        "PersistentVolume" => "persistentvolumes",
        "PersistentVolumeClaim" => "persistentvolumeclaims",
        "StorageClass" => "storageclasses.storage.k8s.io",
        "Ingress" => "ingresses.networking.k8s.io",
        "ValidatingAdmissionPolicy" => "validatingadmissionpolicies.admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding" => "validatingadmissionpolicybindings.admissionregistration.k8s.io",
        "NetworkPolicy" => "networkpolicies.networking.k8s.io",
        "RoleBinding" => "rolebindings.rbac.authorization.k8s.io",
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

/// The rights that one call needs, as (verb, subresource); with the text of its function until the call.
fn verbs(method: &str, arguments: &str, before: &str, place: &str) -> Vec<(&'static str, &'static str)> {
    match method {
        "get" | "get_opt" | "get_metadata" | "get_metadata_opt" => vec![("get", "")],
        "list" | "list_metadata" => vec![("list", "")],
        "create" => vec![("create", "")],
        "replace" => vec![("update", "")],
        "delete" => vec![("delete", "")],
        // An object that is applied and not there is created.
        "patch" if arguments.contains("Patch::Apply") && !before.contains(OF_THIS_OBJECT) => vec![("patch", ""), ("create", "")],
        "patch" => vec![("patch", "")],
        "patch_status" => vec![("patch", "/status")],
        "logs" => vec![("get", "/log")],
        // With websockets the first request is a get; newer API servers ask for create as well.
        "exec" => vec![("get", "/exec"), ("create", "/exec")],
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
            "drive.rs" | "main.rs" | "controllers/mod.rs" | "hub.rs" | "status.rs" | "controller.rs" | "repository.rs" | "secrets.rs" | "journal.rs"
            | "finalizer.rs",
            _,
        ) => vec![Actor::Hub],
        ("alerts.rs" | "links.rs" | "notify.rs" | "controllers/window.rs" | "controllers/platform/history.rs", _) => vec![Actor::Hub],
        // People get their roles on the hub and on the sites alike.
        ("controllers/access.rs", "bind") => vec![Actor::Hub, Actor::Site],
        ("movers/save.rs" | "movers/streams.rs", _) => vec![Actor::Backup],
        ("movers/restore.rs", _) => vec![Actor::Restore],
        (mover, _) if mover.starts_with("movers/") => panic!("{mover}: whose rights are these?"),
        ("effects/component.rs", "read" | "keep" | "files") => vec![Actor::Hub],
        ("effects/component.rs", "write") => vec![Actor::Installer],
        ("effects/backup.rs" | "alertmanager.rs", _) => vec![Actor::Hub],
        ("sites/pods.rs", "workload" | "ready_pod") => vec![Actor::Site, Actor::Backup],
        _ => vec![Actor::Site],
    }
}

struct Source {
    file: String,
    text: String,
    functions: Vec<(usize, String)>,
}

impl Source {
    fn line(&self, at: usize) -> usize {
        self.text[..at].lines().count()
    }

    /// The function around a place, where it begins and where it ends.
    fn around(&self, at: usize) -> (&str, usize, usize) {
        let next = self.functions.partition_point(|(start, _)| *start <= at);
        let (start, name) = next.checked_sub(1).map_or((0, ""), |index| (self.functions[index].0, self.functions[index].1.as_str()));
        (name, start, self.functions.get(next).map_or(self.text.len(), |(start, _)| *start))
    }

    /// The function around a place, and where it ends.
    fn function(&self, at: usize) -> (&str, usize) {
        let (name, _, end) = self.around(at);
        (name, end)
    }

    /// What stands between the bracket at `open` and the one that closes it.
    fn inside(&self, open: usize) -> &str {
        let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
        for (offset, character) in self.text[open..].char_indices() {
            match character {
                '"' if !escaped => quoted = !quoted,
                '(' if !quoted => depth += 1,
                ')' if !quoted => depth -= 1,
                _ => {}
            }
            escaped = character == '\\' && !escaped;
            if depth == 0 {
                return &self.text[open + 1..open + offset];
            }
        }
        panic!("{}:{}: a bracket is not closed", self.file, self.line(open))
    }

    /// What a call needs whose bracket opens there.
    fn needed(&self, method: &str, open: usize) -> Vec<(&'static str, &'static str)> {
        let (_, start, _) = self.around(open);
        verbs(method, self.inside(open), &self.text[start..open], &self.file)
    }
}

/// The calls on a variable: the method, and where its bracket opens. A field of the same name is another thing.
fn calls<'a>(text: &'a str, variable: &str) -> Vec<(&'a str, usize)> {
    let pattern = Regex::new(&format!(r"(^|[^.\w]){variable}\s*\.(\w+)\(")).expect("a pattern");
    pattern.captures_iter(text).map(|call| (call.get(2).expect("a method").as_str(), call.get(0).expect("all").end() - 1)).collect()
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, base: &Path, heads: &Regex, found: &mut Vec<Source>) {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, base, heads, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let whole = std::fs::read_to_string(&path).expect("a source");
                let text = whole.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned();
                let functions = heads.captures_iter(&text).map(|head| (head.get(0).expect("all").start(), head[1].to_owned())).collect();
                found.push(Source { file: path.strip_prefix(base).expect("inside").to_string_lossy().into_owned(), text, functions });
            }
        }
    }
    let heads = Regex::new(r"(?m)^\s*(?:pub(?:\([a-z]+\))?\s+)?(?:async\s+)?fn\s+(\w+)").expect("a pattern");
    let mut found = Vec::new();
    for base in ["operator/src", "operator/runs/src"].map(|base| root().join(base)) {
        walk(&base, &base, &heads, &mut found);
    }
    found
}

/// Reads the source.
pub fn uses() -> Uses {
    let mut found = Uses::new();
    let mut add = |actor: Actor, verb: &str, resource: &str, place: String| {
        found.entry(actor).or_default().entry(format!("{verb} {resource}")).or_insert(place);
    };
    let pattern = |text: &str| Regex::new(text).expect("a pattern");
    let constructor = pattern(r"\bApi(?:::<[^>]+>)?::(?:all|all_with|namespaced|namespaced_with|default_namespaced)\(");
    let bound = pattern(r"let\s+(\w+):\s*Api<(.+?)>\s*=\s*(Api::\w+\(|match\b)");
    let made = pattern(r"let\s+(\w+)\s*=\s*Api::<([^>]+)>::\w+\([^;]*\);");
    let direct = pattern(r"\bApi::<([^>]+)>::\w+\(");
    let inferred = pattern(r"let\s+\w+:\s*(?:Option<)?(\w+)>?\s*=\s*(Api::\w+)\(");
    let returned = pattern(r"let Some\((\w+)\) = api_of\(");
    let maker = pattern(r"fn (\w+)\([^)]*\) -> Api<(\w+)>");
    let lent = pattern(r"\b(\w+)\(&$");
    let parameter = pattern(r"(\w+):\s*&Api<");
    let method = pattern(r"^\s*\.(\w+)\(");
    let sources = sources();

    // What a function does with an Api that it is given.
    let mut given: BTreeMap<String, Vec<(&'static str, &'static str)>> = BTreeMap::new();
    for source in &sources {
        for taken in parameter.captures_iter(&source.text) {
            let (function, end) = source.function(taken.get(0).expect("all").start());
            let from = taken.get(0).expect("all").end();
            for (method, open) in calls(&source.text[from..end], &taken[1]) {
                given.entry(function.to_owned()).or_default().extend(source.needed(method, from + open));
            }
        }
    }
    for source in &sources {
        let (file, text) = (source.file.as_str(), source.text.as_str());
        let mut understood = BTreeSet::new();
        let mut note = |kind: &str, at: usize, made_with: &str, needed: &[(&str, &str)]| {
            let (function, start, end) = source.around(at);
            for actor in actors(file, function, made_with) {
                for resource in resources(kind, file, &[made_with, &text[start..end], text]) {
                    for (verb, sub) in needed {
                        add(actor, verb, &format!("{resource}{sub}"), format!("{file}:{}", source.line(at)));
                    }
                }
            }
        };
        // A variable, and every call on it in its function, also by functions that it is handed to.
        let variables = bound.captures_iter(text).chain(made.captures_iter(text));
        let variables = variables.map(|found| (found[1].to_owned(), found[2].to_owned(), found.get(0).expect("all").start()));
        let variables =
            variables.chain(returned.captures_iter(text).map(|found| (found[1].to_owned(), "DynamicObject".to_owned(), found.get(0).expect("all").start())));
        // The same, of a function of the file that makes an Api.
        let makers: Vec<(String, String)> = maker.captures_iter(text).map(|made| (made[1].to_owned(), made[2].to_owned())).collect();
        let from_maker = makers.iter().flat_map(|(name, kind)| {
            let taken = pattern(&format!(r"let\s+(\w+)\s*=\s*(?:self\.)?{name}\([^;]*\);"));
            taken.captures_iter(text).map(|found| (found[1].to_owned(), kind.clone(), found.get(0).expect("all").start())).collect::<Vec<_>>()
        });
        let variables = variables.chain(from_maker);
        for (name, kind, start) in variables {
            let from = start + text[start..].find(';').expect("a statement ends");
            let made_with = &text[start..from];
            understood.extend(constructor.find_iter(made_with).map(|found| start + found.start()));
            let (_, end) = source.function(start);
            // Until the name is given to something else; what that is made of may still be the Api.
            let renamed = pattern(&format!(r"let\s+(?:mut\s+)?{name}\b[^;]*;")).find(&text[from..end]);
            let end = renamed.map_or(end, |again| from + again.end());
            for (method, open) in calls(&text[from..end], &name) {
                note(&kind, from + open, made_with, &source.needed(method, from + open));
            }
            for call in pattern(&format!(r"\b(\w+)\((?:\w+, )?&{name}\s*[,)]")).captures_iter(&text[from..end]) {
                let needed = given.get(&call[1]).unwrap_or_else(|| panic!("{file}: what does {} do with an Api?", &call[1]));
                note(&kind, from + call.get(0).expect("all").start(), made_with, needed);
            }
        }
        // An Api that is used at once.
        for found in direct.captures_iter(text).chain(inferred.captures_iter(text)) {
            let all = found.get(0).expect("all");
            let (open, start) = (all.end() - 1, found.get(2).map_or(all.start(), |constructor| constructor.start()));
            let made_with = source.inside(open);
            if understood.contains(&start) {
                continue;
            }
            let after = open + made_with.len() + 2;
            understood.insert(start);
            if let Some(to) = lent.captures(&text[..start]) {
                let needed = given.get(&to[1]).unwrap_or_else(|| panic!("{file}: what does {} do with an Api?", &to[1]));
                note(&found[1], start, made_with, needed);
                continue;
            }
            let call = method.captures(&text[after..]).unwrap_or_else(|| panic!("{file}:{}: what is done with this Api?", source.line(start)));
            note(&found[1], start, made_with, &source.needed(&call[1], after + call.get(0).expect("all").end() - 1));
        }
        for (name, kind) in &makers {
            for found in pattern(&format!(r"\b{name}\(")).find_iter(text).filter(|found| !text[..found.start()].ends_with("fn ")) {
                let made_with = source.inside(found.end() - 1);
                let after = found.end() + made_with.len() + 1;
                // Without a call it is given to a variable, which was seen to.
                if let Some(call) = method.captures(&text[after..]) {
                    note(kind, found.start(), "", &source.needed(&call[1], after + call.get(0).expect("all").end() - 1));
                }
            }
        }
        for found in constructor.find_iter(text) {
            let function = source.function(found.start()).0;
            let handed =
                text[..found.start()].ends_with("apply_status_with(&context.hub, &") || function == "api_of" || makers.iter().any(|(name, _)| name == function);
            assert!(handed || understood.contains(&found.start()), "{file}:{}: an Api that this test does not understand", source.line(found.start()));
        }
    }
    without_api(&sources, &mut add);
    found
}

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
        each("Controller::new(Api::<DeserializeGuard<D::Kind>>::all", &mut |place| {
            for (_, plural) in OURS {
                all(Actor::Hub, &["list", "watch"], &format!("{plural}.{GROUP}"), &place);
            }
        });
        each("Recorder::new(", &mut |place| all(Actor::Hub, &["create", "patch"], "events.events.k8s.io", &place));
        // It reads the lease, makes it if it is missing, and applies its changes.
        each("LeaseManagerBuilder::new(", &mut |place| all(Actor::Lease, &["get", "create", "patch"], "leases.coordination.k8s.io", &place));
        each("client.request_text(", &mut |place| all(Actor::Site, &["get"], "services/proxy", &place));
        each(".patch(&binding, ", &mut |place| all(Actor::Site, &["bind"], "clusterroles.rbac.authorization.k8s.io", &place));
        each("bindings .patch(&name, ", &mut |place| {
            all(Actor::Hub, &["bind"], "clusterroles.rbac.authorization.k8s.io", &place);
            all(Actor::Site, &["bind"], "clusterroles.rbac.authorization.k8s.io", &place);
        });
        // Roles and RoleBindings are among what is restored.
        each("pub async fn restore(", &mut |place| all(Actor::Restore, &["escalate", "bind"], "*", &place));
        for other in [".request(", ".request_status(", ".request_stream(", "watcher(", "metadata_watcher(", "reflector("] {
            assert!(!source.text.contains(other), "{}: {other} goes past this test: teach it which right that needs", source.file);
        }
    }
    for (words, times) in [
        ("Controller::new(Api::<DeserializeGuard<D::Kind>>::all", 1),
        ("Recorder::new(", 1),
        ("LeaseManagerBuilder::new(", 1),
        ("client.request_text(", 1),
        (".patch(&binding, ", 1),
        ("bindings .patch(&name, ", 1),
        ("pub async fn restore(", 1),
    ] {
        assert_eq!(counted.get(words), Some(&times), "{words:?} stands elsewhere or not at all: teach this test");
    }
}
