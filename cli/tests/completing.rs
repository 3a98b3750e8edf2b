//! Completions: the scripts, and what the shells are answered, with and without a hub.

use crate::support::{Folder, Said, command, p861, program, said};
use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    process::Stdio,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// A hub that answers what a completion asks, and remembers what it was asked.
struct Hub {
    folder: Folder,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Lists of names, as the API server gives them without the objects: by the end of the path.
const LISTS: &[(&str, &[(&str, &str)])] = &[
    ("/namespaces/shinan-hub/drills", &[("shinan-core-20261124-0900", "2026-11-24T01:00:00Z"), ("shinan-core-20261125-0900", "2026-11-25T01:00:00Z")]),
    ("/namespaces/shinan-hub/recoveryplans", &[("shinan-core", "2026-11-01T00:00:00Z"), ("forms", "2026-11-01T00:00:00Z")]),
    ("/namespaces/elsewhere/recoveryplans", &[("other", "2026-11-01T00:00:00Z")]),
    ("/namespaces/shinan-hub/changetemplates", &[("own", "2026-11-01T00:00:00Z")]),
    ("/namespaces/p861-system/changetemplates", &[("of-the-city", "2026-11-01T00:00:00Z")]),
    ("/v1alpha1/districts", &[("shinan", "2026-11-01T00:00:00Z"), ("laoshan", "2026-11-02T00:00:00Z")]),
];

fn body(path: &str) -> Option<String> {
    if path.ends_with("/drills/d") {
        return Some(
            r#"{"apiVersion": "platform861.io/v1alpha1", "kind": "Drill", "metadata": {"name": "d", "uid": "u"}, "status": {"currentSteps": []}}"#.to_owned(),
        );
    }
    if path.ends_with(&format!("/configmaps/{}", p861_core::names::journal("d", "drill", "u"))) {
        let steps = r#"[{\"id\": \"preflight\"}, {\"id\": \"hold\"}]"#;
        return Some(format!(r#"{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "it"}}, "data": {{"steps.json": "{steps}"}}}}"#));
    }
    if path.ends_with("/districts/shinan") {
        return Some(
            r#"{"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"}, "spec": {"namespace": "shinan-hub"}}"#.to_owned(),
        );
    }
    let (_, names) = LISTS.iter().find(|(of, _)| path.ends_with(of))?;
    let item = |(name, time): &(&str, &str)| format!(r#"{{"metadata": {{"name": "{name}", "creationTimestamp": "{time}"}}}}"#);
    let items: Vec<String> = names.iter().map(item).collect();
    Some(format!(r#"{{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {{}}, "items": [{}]}}"#, items.join(", ")))
}

fn answer(mut stream: TcpStream, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
    let head: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let target = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    asked.lock().expect("the requests").push(head.join("\n"));
    let (status, body) = match body(target.split('?').next().unwrap_or_default()) {
        Some(body) => ("200 OK", body),
        None => {
            ("404 Not Found", r#"{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "message": "none", "reason": "NotFound"}"#.to_owned())
        }
    };
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
}

fn kubeconfig(folder: &Folder, address: &str) -> String {
    let path = folder.path().join("kubeconfig");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: hub, clusters: [{{name: hub, cluster: {{server: \"{address}\"}}}}], users: [{{name: me, user: {{token: t}}}}], \
         contexts: [{{name: hub, context: {{cluster: hub, user: me, namespace: shinan-hub}}}}, {{name: laoshan-dr, context: {{cluster: hub, user: me}}}}]}}\n"
    );
    fs::write(&path, text).expect("written");
    path.to_string_lossy().into_owned()
}

impl Hub {
    fn new(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (folder, asked) = (Folder::new(name), Arc::new(Mutex::new(Vec::new())));
        kubeconfig(&folder, &format!("http://{}", listener.local_addr().expect("an address")));
        let requests = Arc::clone(&asked);
        thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(|stream| answer(stream, &requests)));
        Self { folder, asked }
    }

    /// What bash offers for a line, one a line. The cursor is behind it.
    fn bash(&self, line: &str) -> String {
        let said = bash(&self.folder.path().join("kubeconfig").to_string_lossy(), line);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{line}");
        said.out
    }
}

/// What bash does with the script and a line.
fn bash(kubeconfig: &str, line: &str) -> Said {
    let words: Vec<&str> = line.split(' ').collect();
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let (last, before) = (quoted.len() - 1, quoted.get(quoted.len().wrapping_sub(2)).cloned().unwrap_or_default());
    let script = format!(
        "{}\nCOMP_WORDS=({}); COMP_CWORD={last}; COMP_TYPE=9; _clap_complete_p861 p861 {} {before}; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        p861(&["completions", "bash"]).out,
        quoted.join(" "),
        quoted[last]
    );
    let mut bash = command("bash".as_ref(), &["--norc", "--noprofile", "-s"]);
    let path = format!("{}:{}", program().parent().expect("a folder").display(), std::env::var("PATH").unwrap_or_default());
    let mut child =
        bash.env("PATH", path).env("KUBECONFIG", kubeconfig).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bash");
    child.stdin.take().expect("stdin").write_all(script.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("ended");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn each_shell_has_a_script_that_asks_this_program() {
    for (name, words) in [
        ("bash", ["complete ", " p861", "P861_COMPLETE=\"bash\""]),
        ("zsh", ["#compdef p861", "= _p861 ]; then _clap_dynamic_completer_p861; fi", "P861_COMPLETE=\"zsh\""]),
        ("fish", ["complete ", "--command p861", "P861_COMPLETE=fish"]),
    ] {
        let said = p861(&["completions", name]);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{name}");
        for word in words {
            assert!(said.out.contains(word), "{name} has no {word}:\n{}", said.out);
        }
    }
}

#[test]
fn bash_completes_commands_options_and_values() {
    let hub = Hub::new("words");
    for (line, expected) in [
        ("p861 dri", "drill\n"),
        ("p861 drill wa", "watch\n"),
        ("p861 drill run core --type T", "Tabletop\n"),
        ("p861 drill run core --kee", "--keep-for\n"),
        ("p861 drill run core --dis", "--district\n"),
        ("p861 --context la", "laoshan-dr\n"),
    ] {
        assert_eq!(hub.bash(line), expected, "{line}");
    }
    assert!(hub.asked.lock().expect("the requests").is_empty(), "none of these is on the hub");
}

#[test]
fn fault_h25_bash_completes_the_names_of_objects_in_the_district_that_was_typed() {
    let hub = Hub::new("names");
    for (line, expected) in [
        ("p861 -d shinan drill run ", "forms\nshinan-core\n"),
        ("p861 drill run -d shinan sh", "shinan-core\n"),
        ("p861 drill run ", "forms\nshinan-core\n"),
        ("p861 -n elsewhere plan check ", "other\n"),
        ("p861 -d shinan drill show ", "shinan-core-20261125-0900\nshinan-core-20261124-0900\n"),
        ("p861 -d l", "laoshan\n"),
        ("p861 -d shinan drill skip d ", "preflight\nhold\n"),
        ("p861 -d shinan drill retry d ho", "hold\n"),
        ("p861 -d shinan ticket open x --template ", "own\nof-the-city\n"),
        ("p861 -d shinan restore get approval-1 ConfigMap ", "\n"),
    ] {
        let out = hub.bash(line);
        if expected == "\n" {
            assert!(!out.contains("shinan"), "{line}: {out}");
        } else {
            assert_eq!(out, expected, "{line}");
        }
    }
    for line in ["p861 -d shinan ticket show ", "p861 -n nowhere backup show "] {
        assert_eq!(hub.bash(line).trim(), "", "no name is there, and bash would type what all options begin with: {line}");
    }
    hub.bash("p861 --as li --as-group staff plan check ");
    let last = hub.asked.lock().expect("the requests").last().cloned().unwrap_or_default().to_lowercase();
    assert!(last.contains("impersonate-user: li") && last.contains("impersonate-group: staff"), "{last}");
}

#[test]
fn fault_h25_without_a_hub_completion_ends_soon_and_says_nothing() {
    // It listens and never speaks.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let folder = Folder::new("silent");
    let slow = folder.path().join("slow");
    let asks = format!(
        "{{apiVersion: v1, kind: Config, current-context: a, contexts: [{{name: a, context: {{cluster: a, user: a}}}}], clusters: [{{name: a, cluster: {{server: \"http://{closed}\"}}}}], \
         users: [{{name: a, user: {{exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, \"echo who are you >&2; sleep 5\"], interactiveMode: IfAvailable}}}}}}]}}"
    );
    fs::write(&slow, asks).expect("written");
    let absent = folder.path().join("absent").to_string_lossy().into_owned();
    let other = Folder::new("mute");
    for kubeconfig in [
        kubeconfig(&other, &format!("https://{}", mute.local_addr().expect("an address"))),
        kubeconfig(&folder, &format!("https://{closed}")),
        slow.to_string_lossy().into_owned(),
        absent,
    ] {
        let start = Instant::now();
        let said = bash(&kubeconfig, "p861 -d shinan drill run sh");
        assert_eq!((said.code, said.out.trim(), said.err.as_str()), (0, "", ""), "{kubeconfig}");
        assert!(start.elapsed() < Duration::from_secs(4), "{kubeconfig}: after {:?}", start.elapsed());
    }
}

#[test]
fn a_shell_that_is_not_known_is_answered_with_nothing() {
    let said = said(command(program(), &["--", "p861", ""]).env("P861_COMPLETE", "tcsh"));
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (1, "", ""));
}
