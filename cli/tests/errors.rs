//! Errors are one line on stderr that says what happened, to which object, and what to type next; the exit code is the table's.

use crate::support::{Folder, Said, command, golden, p861, program, said};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// The token of every kubeconfig here; it must never be printed.
const TOKEN: &str = "t0ken-that-nobody-may-see";

fn one_line(said: &Said) -> &str {
    assert_eq!(said.out, "", "an error is no answer: {said:?}");
    let line = said.err.strip_suffix('\n').unwrap_or_else(|| panic!("no line end: {said:?}"));
    assert!(!line.contains('\n') && !line.contains('\u{1b}'), "one line without colour: {said:?}");
    assert!(!line.contains(TOKEN), "a secret: {said:?}");
    line
}

fn kubeconfig(folder: &Folder, server: &str) -> String {
    let path = folder.path().join("kubeconfig");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: hub, clusters: [{{name: hub, cluster: {{server: \"{server}\"}}}}], \
         users: [{{name: me, user: {{token: {TOKEN}}}}}], contexts: [{{name: hub, context: {{cluster: hub, user: me}}}}]}}\n"
    );
    fs::write(&path, text).expect("written");
    path.to_string_lossy().into_owned()
}

/// A port that nobody listens on.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

#[test]
fn wrong_usage_says_what_to_type_and_sends_nothing() {
    let slips: &[&[&str]] = &[
        &["drill", "wacth", "d"],
        &["drills", "list"],
        &["-d", "shinan"],
        &["drill", "run"],
        &["drill", "run", "core", "--tpye", "Tabletop"],
        &["drill", "run", "core", "--type", "Live"],
        &["drill", "run", "core", "--keep-for", "1d"],
        &["drill", "run", "core", "--keep-for", "-5m"],
        &["ticket", "open", "upgrade", "bulletin", "--watch", "-5m"],
        &["backup", "calendar", "--days", "-3"],
        &["-d", "shinan", "ap", "status", "approval"],
        &["drill", "list", "a", "b"],
        &["drill", "extend", "d"],
        &["backup", "now"],
        &["status", "-d", "shinan", "-n", "shinan"],
        &["status", "-o", "xml"],
        &["status", "-o", "html"],
        &["status", "--timeout", "soon"],
        &["app", "discover", "shinan-approval"],
        &["restore", "run", "b", "--yes"],
        &["restore", "run", "b", "--map", "x"],
        &["restore", "run", "b", "--files", "c:relative"],
        &["restore", "run", "b", "--prefix", "/restored"],
        &["explain", "KeyWrogn"],
        &["explain", "zzz"],
        &["explain", "P861Foo"],
        &["completions", "tcsh"],
        &["drill", "show", ""],
        &["drill", "extend", "d", ""],
        &["ticket", "note", "t", ""],
        &["-d", "", "status"],
        &["status", "--namespace="],
        &["drill", "stop", "d"],
        &["ticket", "close", "t"],
        &["restore", "get", "b", "Confgmap"],
        &["restore", "run", "b", "--resource", "Widget/w"],
        &["ticket", "resolve", "t", "--resolution", "fixed"],
    ];
    let mut page = String::new();
    for words in slips {
        for language in ["en", "zh"] {
            let said = p861(&[&["--lang", language], *words].concat());
            assert_eq!(said.code, 2, "{words:?}: {said:?}");
            let typed: Vec<&str> = words.iter().map(|word| if word.is_empty() { "\"\"" } else { word }).collect();
            page.extend(["$ p861 ", &typed.join(" "), "\n", one_line(&said), "\n"]);
        }
    }
    golden("errors-usage", &page);
}

#[test]
fn a_hub_that_does_not_listen_is_told_on_one_line() {
    let folder = Folder::new("closed");
    let server = format!("https://127.0.0.1:{}", closed_port());
    let kubeconfig = kubeconfig(&folder, &server);
    for (language, expected) in [("en", format!("error: {server} is unreachable: ")), ("zh", format!("错误：无法连接 {server}："))] {
        for words in
            [vec!["status"], vec!["drill", "list"], vec!["drill", "run", "core"], vec!["app", "status", "approval"], vec!["site", "list", "-o", "json"]]
        {
            let said = p861(&[&["--kubeconfig", &kubeconfig, "--lang", language], words.as_slice()].concat());
            assert_eq!(said.code, 6, "{words:?}: {said:?}");
            assert!(one_line(&said).starts_with(&expected), "{said:?}");
        }
    }
}

#[test]
fn a_hub_that_takes_the_connection_and_says_nothing_is_given_up() {
    // It listens and never speaks: no TLS handshake ends.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let folder = Folder::new("mute");
    let kubeconfig = kubeconfig(&folder, &format!("https://{}", listener.local_addr().expect("an address")));
    let start = Instant::now();
    let said = p861(&["--kubeconfig", &kubeconfig, "site", "list"]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(one_line(&said).contains("is unreachable"), "{said:?}");
    assert!(start.elapsed() < Duration::from_mins(1), "after {:?}", start.elapsed());
}

#[test]
fn what_is_no_api_server_is_told_and_not_believed() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream
                .write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 20\r\nConnection: close\r\n\r\n<html>no hub</html>\n");
        }
    });
    let folder = Folder::new("gateway");
    let said = p861(&["--kubeconfig", &kubeconfig(&folder, &format!("http://{address}")), "site", "list"]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(one_line(&said).contains("502"), "{said:?}");
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_told_without_what_stands_in_it() {
    let folder = Folder::new("kubeconfigs");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let at = |kubeconfig: &str| said(command(program(), &["site", "list"]).env("KUBECONFIG", kubeconfig));
    let absent = at(&path("absent"));
    assert_eq!(absent.code, 2);
    assert!(one_line(&absent).starts_with("error: there is no kubeconfig: ") && absent.err.contains("--kubeconfig"), "{absent:?}");

    fs::write(path("broken"), format!("apiVersion: v1\nusers:\n- name: me\n  user: {{token: {TOKEN}\nclusters: [\n")).expect("written");
    let broken = at(&path("broken"));
    assert_eq!(broken.code, 2);
    assert!(one_line(&broken).contains("not a kubeconfig at line "), "{broken:?}");

    fs::write(path("of-another-kind"), format!("users: {TOKEN}\n")).expect("written");
    assert_eq!(at(&path("of-another-kind")).code, 2);
    one_line(&at(&path("of-another-kind")));

    let good = kubeconfig(&folder, "https://127.0.0.1:1");
    let other = p861(&["--kubeconfig", &good, "--context", "elsewhere", "site", "list"]);
    assert_eq!((other.code, one_line(&other)), (2, "error: the kubeconfig has no context elsewhere; available: hub"));
    let slip = p861(&["--kubeconfig", &good, "--context", "hbu", "site", "list"]);
    let again = format!("p861 --kubeconfig {good} --context hub site list");
    let expected = format!("error: the kubeconfig has no context hbu, perhaps hub; available: hub; type {again}");
    assert_eq!((slip.code, one_line(&slip)), (2, expected.as_str()));
    let group = p861(&["--kubeconfig", &good, "--as-group", "staff", "site", "list"]);
    assert_eq!((group.code, one_line(&group)), (2, "error: --as-group needs a user that belongs to the group: add --as USER"));
}

#[test]
fn an_address_with_a_password_in_it_is_told_without() {
    let folder = Folder::new("userinfo");
    let port = closed_port();
    let said = p861(&["--kubeconfig", &kubeconfig(&folder, &format!("https://me:{TOKEN}@127.0.0.1:{port}")), "site", "list"]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(one_line(&said).contains(&format!("https://127.0.0.1:{port} ")), "{said:?}");
}

#[test]
fn the_language_is_the_option_then_the_variable_then_the_locale() {
    let head = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = command(program(), &[arguments, &["drill", "run"]].concat());
        command.envs(variables.iter().copied());
        let said = said(&mut command);
        assert_eq!(said.code, 2);
        one_line(&said).starts_with("错误：")
    };
    assert!(!head(&[], &[]), "English where nothing is said");
    assert!(head(&[("LANG", "zh_CN.UTF-8")], &[]));
    assert!(head(&[("P861_LANG", "zh"), ("LANG", "en_US.UTF-8")], &[]));
    assert!(!head(&[("P861_LANG", "en"), ("LANG", "zh_CN.UTF-8")], &[]));
    assert!(!head(&[("P861_LANG", "zh")], &["--lang", "en"]));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    use std::process::Stdio;
    let mut child = command(program(), &["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().expect("stderr").read_to_string(&mut err).expect("read");
    assert_eq!((child.wait().expect("ended").code(), err.as_str()), (Some(0), ""));
    assert!(Path::new(program()).is_file());
}
