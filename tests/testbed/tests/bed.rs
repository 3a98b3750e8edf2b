//! A bed comes up, does not meet another, and goes without a trace, also when what brought it up was killed.
#![expect(clippy::expect_used, reason = "a test stops where it is wrong")]

use p861_testbed::bed::{self, Bed, Options, Place, remains, until};
use p861_testbed::report::Report;
use std::process::{Command, Stdio};
use std::time::Duration;

/// One site is enough here: a second one comes up in the same way.
fn options(site: &str) -> Options {
    Options { sites: vec![site.to_owned()], buckets: vec!["p861-test".to_owned()], rules: vec![] }
}

fn named(what: &str) -> String {
    format!("bed-{what}-{}", std::process::id())
}

/// Takes a bed down however its test ends.
struct Down(String);

impl Drop for Down {
    fn drop(&mut self) {
        let _ = bed::down(&self.0, &Report::silent());
    }
}

fn nothing_remains(place: &Place) {
    let left = remains(place).expect("looked");
    assert!(left.is_empty(), "left behind: {left:#?}");
}

/// `eval "$(testbed env --hub)"`, twice in one shell, and whatever the reader changes in between.
fn what_a_reader_pastes_leads_to_the_hub(bed: &Bed) {
    let env = format!("eval \"$('{}' --name {} env --hub)\"", env!("CARGO_BIN_EXE_testbed"), bed.name());
    let look = "kubectl config current-context; kubectl get nodes -o name; test -n \"$P861_S3\"; command -v helm >/dev/null";
    let script = format!("set -e\n{env}\n{look}\nkubectl config unset current-context >/dev/null\n{env}\n{look}");
    let output = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).output().expect("sh");
    let (said, beside) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{beside}");
    assert_eq!(said, "east\nnode/east-1\n".repeat(2), "{beside}");
}

#[test]
fn two_beds_run_side_by_side_do_not_meet_and_go_without_a_trace() {
    let (one, two) = (named("one"), named("two"));
    let _downs = (Down(one.clone()), Down(two.clone()));
    let report = Report::stderr();
    let first = Bed::up(&one, &options("east"), &report).expect("the first bed comes up");
    let second = Bed::up(&two, &options("west"), &report).expect("the second bed comes up");
    assert!(Bed::up(&one, &options("east"), &report).is_err(), "never two of one name");
    let (east, west) = (&first.sites()[0], &second.sites()[0]);
    assert_ne!(east.address, west.address);
    for site in [east, west] {
        let nodes = site.kubectl(&["get", "nodes", "--no-headers"]).expect("kubectl");
        assert!(nodes.lines().count() == 1 && nodes.starts_with(&site.node()) && nodes.contains(" Ready"), "{nodes}");
    }
    what_a_reader_pastes_leads_to_the_hub(&first);
    let namespaces: Vec<Place> = [&one, &two].map(|name| Place::find(name).expect("found").expect("there")).into();
    // From the first bed's site its own S3 answers and the second's API server does not.
    let reaches = |place: &Place, part: &str, address: &str, port: u16| {
        let script = format!("exec 3<>/dev/tcp/{address}/{port}");
        let mut command = Command::new("timeout");
        command.args(["5", "nsenter", &format!("--net={}", place.namespace_file(part).display()), "bash", "-c", &script]);
        command.stderr(Stdio::null()).status().expect("nsenter").success()
    };
    let s3 = first.s3().address;
    assert!(reaches(&namespaces[0], "east", &s3.ip().to_string(), s3.port()), "the site does not reach its own S3");
    assert!(reaches(&namespaces[1], "west", &west.address.to_string(), 6443), "the other site's API server does not answer at home");
    assert!(!reaches(&namespaces[0], "east", &west.address.to_string(), 6443), "one bed reaches into the other");
    // One that goes does not take the other with it.
    bed::down(&one, &report).expect("the first goes");
    nothing_remains(&namespaces[0]);
    west.kubectl(&["get", "--raw", "/readyz"]).expect("the second stays");
    bed::down(&two, &report).expect("the second goes");
    nothing_remains(&namespaces[1]);
    bed::down(&two, &report).expect("twice is as good as once");
}

#[test]
fn a_bed_whose_maker_was_killed_half_way_goes_without_a_trace() {
    let name = named("killed");
    let _down = Down(name.clone());
    let mut maker =
        Command::new(env!("CARGO_BIN_EXE_testbed")).args(["--name", &name, "up", "--sites", "north"]).stdin(Stdio::null()).spawn().expect("testbed");
    // Half way: control plane processes run, and the bed is not up.
    let place = until("an API server was started", Duration::from_mins(10), || {
        let place = Place::find(&name).map_err(|error| error.to_string())?.ok_or("it has no place yet")?;
        let started = place.folder().join("sites/north/processes/kube-apiserver.log");
        if started.exists() { Ok(place) } else { Err(format!("{} is not there", started.display())) }
    });
    maker.kill().expect("killed");
    maker.wait().expect("waited for");
    let place = place.expect("half way");
    assert!(!remains(&place).expect("looked").is_empty(), "nothing was there to be removed");
    bed::down(&name, &Report::stderr()).expect("what is left goes");
    nothing_remains(&place);
}
