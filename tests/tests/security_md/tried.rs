//! Everybody tries everything, on a real API server: what they were let do is what the page says.

use super::{
    attack::{Answer, Attempt, Forms, Person},
    in_order, stands_on_the_page,
    targets::{HIDDEN, JUDGED, ours, secret, targets},
};
use crate::support::{
    access::{Place, may},
    lone::{Lone, lone},
    operator::api,
};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// Requests under way at a time.
const AT_ONCE: usize = 40;
/// How long the API server may take to learn of kinds and bindings.
const LEARNED: Duration = Duration::from_mins(2);
const ROLES: [&str; 5] = ["viewer", "engineer", "approver", "commander", "auditor"];
/// The districts' namespaces on one API server that is hub and site: our own, another's, and the cluster's.
const HUB_HOME: &str = "shinan";
const SITE_HOME: &str = "shinan-portal";
const PLACES: [&str; 5] = [HUB_HOME, SITE_HOME, "jimo", "jimo-portal", "kube-system"];

/// Where somebody of that home tries what he has no role for.
fn elsewhere(home: &str) -> [&'static str; 2] {
    [if home == SITE_HOME { "jimo-portal" } else { "jimo" }, "kube-system"]
}

/// Somebody of each role on the hub and of each on a site, and one who only reads what has no namespace.
fn people() -> Vec<Person> {
    let of = |home: &'static str| ROLES.map(|role| Person { role, home: Some(home) });
    of(HUB_HOME).into_iter().chain(of(SITE_HOME)).chain([Person { role: "reader", home: None }]).collect()
}

fn bind(server: &Lone, person: &Person) {
    let (kind, role) = match person.home {
        Some(home) => ("RoleBinding", format!("p861-{}role-{}", if home == SITE_HOME { "site-" } else { "" }, person.role)),
        None => ("ClusterRoleBinding", "p861-cluster-reader".to_owned()),
    };
    let mut binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": format!("attack-{}", person.user())},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": person.user()}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}});
    if let Some(home) = person.home {
        binding["metadata"]["namespace"] = json!(home);
    }
    server.apply(&binding.to_string());
}

async fn make(client: &Client, object: &Value) {
    let parsed: DynamicObject = serde_json::from_value(object.clone()).expect("an object");
    let types = parsed.types.clone().expect("a kind");
    let group = types.api_version.split_once('/').map_or("", |(group, _)| group);
    let plural = match types.kind.as_str() {
        "BackupRepository" => "backuprepositories".to_owned(),
        "BackupPolicy" => "backuppolicies".to_owned(),
        _ => format!("{}s", types.kind.to_lowercase()),
    };
    let place = api(client, group, &types.kind, &plural, parsed.metadata.namespace.as_deref());
    let since = Instant::now();
    loop {
        match place.create(&PostParams::default(), &parsed).await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code == 409 => return,
            // Mutating policies learn of a kind some seconds after it is served.
            Err(error) => assert!(since.elapsed() < LEARNED, "{object}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The server with everybody bound and something to attack in every namespace.
async fn laid_out() -> Arc<Lone> {
    static ONCE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let server = tokio::task::spawn_blocking(|| lone("security_md")).await.expect("a server");
    let _turn = ONCE.lock().await;
    let manifest = PLACES.map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string()).join("\n---\n");
    server.apply(&manifest);
    for person in &people() {
        bind(&server, person);
    }
    let client = server.client(None).await;
    let at_home = people().into_iter().filter_map(|person| Some((person.home?, person.bait())));
    let secrets = PLACES.iter().map(|place| secret(place, "bait")).chain(at_home.clone().map(|(home, name)| secret(home, &name)));
    let own = at_home.filter(|(home, _)| *home == HUB_HOME).chain([("jimo", "bait".to_owned())]).flat_map(|(place, name)| ours(place, &name));
    let all: Vec<Value> = secrets.chain(own).collect();
    stream::iter(&all).for_each_concurrent(AT_ONCE, |object| make(&client, object)).await;
    server
}

/// What somebody was let do: resource → verb → in which forms.
type Tried = BTreeMap<String, BTreeMap<&'static str, BTreeMap<String, Answer>>>;

/// Tries everything in one namespace, or with what has none.
async fn try_all(client: &Client, person: &Person, place: Option<&str>) -> (usize, Tried) {
    let at_home = place.is_some() && person.home == place;
    let name = if at_home { person.bait() } else { "bait".to_owned() };
    let wanted = targets().into_iter().filter(|target| target.namespaced == place.is_some());
    let sequences = wanted.map(|target| {
        let attempts: Vec<Attempt> = target.attempts(place.unwrap_or_default(), &name);
        (target.label(), attempts)
    });
    let tried = stream::iter(sequences).map(|(label, attempts)| async move {
        let mut answers = Vec::new();
        for attempt in attempts {
            let answer = attempt.send(client).await;
            if let Answer::Through(_, said) = &answer {
                assert!(!HIDDEN.iter().any(|word| said.contains(word)), "{person:?} reads a Secret by {}: {said}", attempt.told());
            }
            answers.push((attempt, answer));
        }
        (label, answers)
    });
    let (mut count, mut found) = (0, Tried::new());
    for (label, answers) in tried.buffer_unordered(AT_ONCE / 4).collect::<Vec<_>>().await {
        count += answers.len();
        for (attempt, answer) in answers {
            found.entry(label.clone()).or_default().entry(attempt.verb).or_default().insert(format!("{} {}", attempt.form, attempt.told()), answer);
        }
    }
    (count, found)
}

/// The verbs that somebody was let through with, by resource. A verb is so in every form, or in none.
fn let_through(person: &Person, tried: &Tried) -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut found: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
    for (resource, verbs) in tried {
        let place = found.entry(resource.clone()).or_default();
        for (verb, forms) in verbs {
            let through: Vec<&String> = forms.iter().filter(|(_, answer)| matches!(answer, Answer::Through(..))).map(|(form, _)| form).collect();
            assert!(through.is_empty() || through.len() == forms.len(), "{person:?} may {verb} {resource} in these forms only: {through:?}");
            place.extend((!through.is_empty()).then_some(*verb));
        }
    }
    found
}

/// Rights that are no requests.
async fn judged(server: &Lone, person: &Person, namespace: &str) -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut found: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
    for (verbs, resource) in JUDGED {
        let place = found.entry((*resource).to_owned()).or_default();
        for verb in *verbs {
            if may(server, Place { user: &person.user(), group: "", namespace }, verb, resource, "").await {
                place.insert(verb);
            }
        }
    }
    found
}

/// Waits until the API server's authorizer has seen the bindings.
async fn until_bound(server: &Lone) {
    for person in people() {
        let (namespace, resource) = match person.home {
            Some(SITE_HOME) => (SITE_HOME, "pods"),
            Some(home) => (home, "drills.platform861.io"),
            None => ("", "districts.platform861.io"),
        };
        let since = Instant::now();
        while !may(server, Place { user: &person.user(), group: "", namespace }, "get", resource, "").await {
            assert!(since.elapsed() < LEARNED, "{person:?} is still not bound");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The rows of a table: a row for each set of cells, and a last one for what nobody was let do anything with.
fn rows(tried: &BTreeMap<&'static str, BTreeMap<String, BTreeSet<&'static str>>>) -> String {
    let resources: BTreeSet<&String> = tried.values().flat_map(BTreeMap::keys).collect();
    let mut rows: BTreeMap<Vec<Vec<&str>>, Vec<&str>> = BTreeMap::new();
    for resource in resources {
        let cells = ROLES.map(|role| in_order(tried[role].get(resource).into_iter().flatten().copied()));
        rows.entry(cells.to_vec()).or_default().push(resource);
    }
    let nobody = rows.remove(&vec![Vec::new(); ROLES.len()]).unwrap_or_default();
    let mut rows: Vec<(Vec<&str>, Vec<Vec<&str>>)> = rows.into_iter().map(|(cells, resources)| (resources, cells)).collect();
    rows.sort();
    let mut table = "| resource | Viewer | Engineer | Approver | Commander | Auditor |\n|---|---|---|---|---|---|".to_owned();
    for (resources, cells) in rows {
        let cells: Vec<String> = cells.into_iter().map(|verbs| if verbs.is_empty() { "–".to_owned() } else { verbs.join(", ") }).collect();
        table = format!("{table}\n| {} | {} |", resources.join(", "), cells.join(" | "));
    }
    format!("{table}\n| {} | – | – | – | – | – |", nobody.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e6_security_md_tells_what_each_role_was_let_do_when_it_tried_everything() {
    let server = laid_out().await;
    until_bound(&server).await;
    let since = Instant::now();
    let mut asked = 0;
    let mut tables: BTreeMap<&str, BTreeMap<&'static str, BTreeMap<String, BTreeSet<&'static str>>>> = BTreeMap::new();
    let mut of_reader = BTreeMap::new();
    let attacks = people().into_iter().map(|person| {
        let server = server.clone();
        async move {
            let client = person.client(&server).await;
            let home = person.home.unwrap_or(HUB_HOME);
            let places = [home].into_iter().chain(elsewhere(home)).map(Some).chain([None]);
            let mut count = 0;
            let (mut at_home, mut elsewhere) = (BTreeMap::new(), Vec::new());
            for place in places {
                let (tried, found) = try_all(&client, &person, place).await;
                count += tried;
                let mut found = let_through(&person, &found);
                for (resource, verbs) in judged(&server, &person, place.unwrap_or_default()).await {
                    found.entry(resource).or_default().extend(verbs);
                }
                if place == person.home || place.is_none() {
                    for (resource, verbs) in found {
                        at_home.entry(resource).or_insert_with(BTreeSet::new).extend(verbs);
                    }
                } else {
                    elsewhere
                        .extend(found.into_iter().filter(|(_, verbs)| !verbs.is_empty()).map(|(resource, verbs)| format!("{verbs:?} {resource} in {place:?}")));
                }
            }
            (person, count, at_home, elsewhere)
        }
    });
    for (person, count, at_home, elsewhere) in stream::iter(attacks).buffer_unordered(4).collect::<Vec<_>>().await {
        asked += count;
        assert!(elsewhere.is_empty(), "{person:?} may, where it is not at home: {elsewhere:?}");
        // Who is at home in no namespace was let do nothing in any: none of these is a Secret's.
        let secrets = at_home.get("secrets").cloned().unwrap_or_default();
        let brings = if (person.role, person.home) == ("engineer", Some(HUB_HOME)) { BTreeSet::from(["create"]) } else { BTreeSet::new() };
        assert_eq!(secrets, brings, "{person:?} and Secrets");
        match person.home {
            Some(home) => drop(tables.entry(home).or_default().insert(person.role, at_home)),
            None => of_reader = at_home,
        }
    }
    let took = since.elapsed();
    println!("{asked} requests in {took:?}");
    let reads = of_reader.into_iter().filter(|(_, verbs)| !verbs.is_empty()).map(|(resource, verbs)| format!("{} ({})", resource, in_order(verbs).join(", ")));
    let text = format!(
        "On the hub, in the district's own namespace and with what has no namespace:\n\n{}\n\nOn a site, in one of the district's namespaces and with what has none:\n\n{}\n\n\
         Groups in `hub.clusterReaders`, with what has no namespace: {}. All others of {asked} requests were refused: in a namespace of another district and in `kube-system`, \
         every one.",
        rows(&tables[HUB_HOME]),
        rows(&tables[SITE_HOME]),
        reads.collect::<Vec<_>>().join(", ")
    );
    stands_on_the_page("attacks", &text);
}

/// Why the roles have no more than they have, in the API server's own answers: with any other verb a Secret is read, or told.
#[tokio::test(flavor = "multi_thread")]
async fn fault_e6_the_answer_to_a_change_of_a_secret_tells_what_is_in_it() {
    let server = laid_out().await;
    let client = server.client(None).await;
    let target = targets().into_iter().find(|target| target.label() == "secrets").expect("Secrets");
    assert_eq!(target.forms, Forms::All);
    let mut told: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (number, _) in target.attempts("jimo-portal", "shown").into_iter().enumerate() {
        let name = format!("shown{number}");
        let bait: Secret = serde_json::from_value(secret("jimo-portal", &name)).expect("a Secret");
        Api::<Secret>::namespaced(client.clone(), "jimo-portal").create(&PostParams::default(), &bait).await.expect("laid out");
        let attempt = target.attempts("jimo-portal", &name).swap_remove(number);
        let forms = told.entry(attempt.verb).or_default();
        if matches!(attempt.send(&client).await, Answer::Through(200, said) if said.contains(HIDDEN[1])) {
            forms.insert(attempt.form);
        }
    }
    let forms = |verb: &str| told[verb].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(forms("create"), Vec::<&str>::new(), "what was sent is all that comes back");
    assert_eq!(
        forms("patch"),
        ["JSON patch", "apply", "dry run JSON patch", "dry run apply", "dry run merge", "dry run strategic merge", "merge", "strategic merge"]
    );
    assert_eq!(forms("delete"), ["Foreground", "Orphan", "dry run Foreground", "dry run Orphan"], "a plain deletion says only that it was done");
    assert_eq!(forms("deletecollection").len(), 8, "a list of what was deleted, or would be: {:?}", forms("deletecollection"));

    // An update of one that can't be changed says whether a guess is right.
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "jimo-portal");
    let guess = |value: &str| -> Secret {
        serde_json::from_value(json!({"metadata": {"name": "guessed"}, "immutable": true, "data": {"key": value}})).expect("a Secret")
    };
    secrets.create(&PostParams::default(), &guess("cmlnaHQ=")).await.expect("laid out");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    assert!(secrets.replace("guessed", &dry, &guess("d3Jvbmc=")).await.is_err(), "a wrong guess is a change, which is refused");
    secrets.replace("guessed", &dry, &guess("cmlnaHQ=")).await.expect("a right one changes nothing");
}
