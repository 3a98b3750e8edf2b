//! Requests as somebody sends them who wants more than his role: every verb in every form that the API server takes, at whatever is worth it.

use crate::support::lone::Lone;
use http::Request;
use kube::{Client, client::Body};
use serde_json::{Value, json};

/// How a change is asked for: tried as a dry run, then in earnest.
const EARNEST: [(&str, bool); 2] = [("dry run", true), ("", false)];
/// Forms of a patch: name, content type, body. What is applied is filled in.
const PATCHES: [(&str, &str, &str); 4] = [
    ("JSON patch", "application/json-patch+json", "[]"),
    ("merge", "application/merge-patch+json", "{}"),
    ("strategic merge", "application/strategic-merge-patch+json", "{}"),
    ("apply", "application/apply-patch+yaml", ""),
];
/// What becomes of what an object owns. Those by which it stays for a while come first: there is something to answer with.
const CASCADES: [&str; 4] = ["Foreground", "Orphan", "Background", ""];

/// Somebody with one role.
#[derive(Clone, Debug)]
pub struct Person {
    /// The role.
    pub role: &'static str,
    /// Where it is bound, if it is bound in one namespace.
    pub home: Option<&'static str>,
}

impl Person {
    /// The name by which the API server knows him.
    pub fn user(&self) -> String {
        format!("{}-of-{}", self.role, self.home.unwrap_or("all"))
    }

    /// The name of the objects that are laid out for him alone, at home.
    pub fn bait(&self) -> String {
        format!("b{}", self.role)
    }

    pub async fn client(&self, server: &Lone) -> Client {
        server.client(Some((&self.user(), &["system:authenticated"]))).await
    }
}

/// What of a resource is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forms {
    /// Every verb in every form.
    All,
    /// Every verb in one form: it is none of what must not be read.
    Each,
    /// A subresource that is read and written, as status and scale.
    Part,
    /// One that is opened, by these methods.
    Open(&'static [&'static str]),
    /// One that is only asked for.
    Ask,
}

/// A resource, or a subresource of it.
#[derive(Clone, Debug)]
pub struct Target {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: String,
    pub plural: &'static str,
    pub sub: &'static str,
    pub namespaced: bool,
    pub forms: Forms,
}

impl Target {
    /// `plural.group/subresource`.
    pub fn label(&self) -> String {
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        let sub = if self.sub.is_empty() { String::new() } else { format!("/{}", self.sub) };
        format!("{}{group}{sub}", self.plural)
    }

    fn collection(&self, namespace: &str) -> String {
        let api = if self.group.is_empty() { format!("/api/{}", self.version) } else { format!("/apis/{}/{}", self.group, self.version) };
        if self.namespaced { format!("{api}/namespaces/{namespace}/{}", self.plural) } else { format!("{api}/{}", self.plural) }
    }

    fn body(&self, name: &str) -> Value {
        let api = if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) };
        json!({"apiVersion": api, "kind": self.kind, "metadata": {"name": name}})
    }

    /// What is tried there, with an object of this name. What leaves everything as it is comes first.
    pub fn attempts(&self, namespace: &str, name: &str) -> Vec<Attempt> {
        let all = self.collection(namespace);
        let one = format!("{all}/{name}");
        match self.forms {
            Forms::All | Forms::Each => {
                let mut attempts = vec![
                    Attempt::read("get", &one),
                    Attempt::read("list", &all),
                    Attempt { watches: true, ..Attempt::read("watch", &format!("{all}?watch=true&timeoutSeconds=1")) },
                ];
                for (form, dry_run) in EARNEST.into_iter().filter(|(_, dry_run)| *dry_run || self.forms == Forms::All) {
                    attempts.extend(self.changes(&all, &one, name, form, dry_run));
                }
                attempts
            }
            Forms::Part => {
                let part = format!("{one}/{}", self.sub);
                let mut attempts = vec![Attempt::read("get", &part)];
                for (form, dry_run) in EARNEST {
                    attempts.push(Attempt::write("update", form, "PUT", &part, dry_run, "application/json", self.body(name).to_string()));
                    attempts.extend(self.patches(&part, name, form, dry_run));
                }
                attempts
            }
            Forms::Open(methods) => {
                let verb = |method: &str| match method {
                    "GET" => "get",
                    "POST" => "create",
                    "PUT" => "update",
                    "PATCH" => "patch",
                    _ => "delete",
                };
                let path = format!("{one}/{}", self.sub);
                methods.iter().map(|method| Attempt::write(verb(method), "", method, &path, false, "application/json", "{}".into())).collect()
            }
            Forms::Ask => {
                let path = format!("{one}/{}", self.sub);
                EARNEST.map(|(form, dry_run)| Attempt::write("create", form, "POST", &path, dry_run, "application/json", self.body(name).to_string())).into()
            }
        }
    }

    fn changes(&self, all: &str, one: &str, name: &str, form: &str, dry_run: bool) -> Vec<Attempt> {
        let whole = |name: &str| self.body(name).to_string();
        let full = self.forms == Forms::All;
        let mut attempts = vec![
            Attempt::write("create", form, "POST", all, dry_run, "application/json", whole(&format!("{name}new"))),
            Attempt::write("update", form, "PUT", one, dry_run, "application/json", whole(name)),
        ];
        attempts.extend(self.patches(one, name, form, dry_run).into_iter().take(if full { PATCHES.len() } else { 1 }));
        let only = format!("{all}?fieldSelector=metadata.name%3D{name}");
        for (verb, path) in [("delete", one), ("deletecollection", &only)] {
            for cascade in CASCADES.into_iter().take(if full { CASCADES.len() } else { 1 }) {
                let policy = if cascade.is_empty() { String::new() } else { format!("propagationPolicy={cascade}") };
                let form = format!("{form} {cascade}");
                let path = format!("{path}{}{policy}", if path.contains('?') { '&' } else { '?' });
                attempts.push(Attempt::write(verb, form.trim(), "DELETE", &path, dry_run, "application/json", String::new()));
            }
        }
        attempts
    }

    fn patches(&self, path: &str, name: &str, form: &str, dry_run: bool) -> Vec<Attempt> {
        let patch = |(kind, content, body): (&str, &str, &str)| {
            let (path, body) = if kind == "apply" {
                (format!("{path}?fieldManager=attacker&force=true"), self.body(name).to_string())
            } else {
                (path.to_owned(), body.to_owned())
            };
            Attempt::write("patch", format!("{form} {kind}").trim(), "PATCH", &path, dry_run, content, body)
        };
        PATCHES.into_iter().map(patch).collect()
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The verb, as roles name it.
    pub verb: &'static str,
    /// In which form.
    pub form: String,
    method: String,
    path: String,
    content: String,
    body: String,
    watches: bool,
}

/// What the API server answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The role does not give that right.
    Refused,
    /// The role does; what it then said, whatever that is.
    Through(u16, String),
}

impl Attempt {
    fn read(verb: &'static str, path: &str) -> Self {
        Self { verb, form: String::new(), method: "GET".into(), path: path.to_owned(), content: "application/json".into(), body: String::new(), watches: false }
    }

    fn write(verb: &'static str, form: &str, method: &str, path: &str, dry_run: bool, content: &str, body: String) -> Self {
        let path = match (dry_run, path.contains('?')) {
            (false, _) => path.to_owned(),
            (true, true) => format!("{path}&dryRun=All"),
            (true, false) => format!("{path}?dryRun=All"),
        };
        Self { verb, form: form.to_owned(), method: method.to_owned(), path, content: content.to_owned(), body, watches: false }
    }

    /// How people name it.
    pub fn told(&self) -> String {
        format!("{} {} {}", self.method, self.path, self.content)
    }

    /// Sends it.
    pub async fn send(&self, client: &Client) -> Answer {
        let request = || Request::builder().method(self.method.as_str()).uri(&self.path).header("Content-Type", &self.content);
        if self.watches {
            // Whether it begins is all that matters: what would follow are the objects of a list.
            let answer = client.send(request().body(Body::from(Vec::new())).expect("a request")).await.expect("an answer");
            return if answer.status().as_u16() == 403 { Answer::Refused } else { Answer::Through(answer.status().as_u16(), String::new()) };
        }
        match client.request_text(request().body(self.body.clone().into_bytes()).expect("a request")).await {
            Ok(text) => Answer::Through(200, text),
            Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains("cannot ") => Answer::Refused,
            Err(kube::Error::Api(status)) => Answer::Through(status.code, format!("{} {:?}", status.message, status.details)),
            Err(error) => panic!("{}: {error}", self.told()),
        }
    }
}
