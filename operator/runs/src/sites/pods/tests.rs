use super::*;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

fn pod(containers: &[&str], annotation: Option<&str>) -> Pod {
    let containers: Vec<_> = containers.iter().map(|name| json!({"name": name, "image": "i"})).collect();
    let annotations = annotation.map(|name| json!({DEFAULT_CONTAINER: name}));
    serde_json::from_value(json!({"metadata": {"name": "web-0", "annotations": annotations}, "spec": {"containers": containers}})).unwrap()
}

#[test]
fn fault_f1_a_command_without_a_container_runs_where_kubectl_would_run_it() {
    for (containers, annotation, named, chosen) in [
        (&["web"][..], None, None, "web"),
        (&["web", "proxy"], None, None, "web"),
        (&["proxy", "web"], Some("web"), None, "web"),
        (&["proxy", "web"], Some("gone"), None, "proxy"),
        (&["proxy", "web"], Some("web"), Some("proxy"), "proxy"),
    ] {
        let target = Target::of(&pod(containers, annotation), named);
        assert_eq!(target, Target { pod: "web-0".into(), container: chosen.into() }, "{containers:?} {annotation:?} {named:?}");
    }
}

#[tokio::test]
async fn fault_d4_a_commands_output_is_bounded_and_read_to_its_end() {
    let (stdout, mut far) = tokio::io::duplex(1024);
    let (stderr, mut far_errors) = tokio::io::duplex(1024);
    let (exits, exit) = tokio::sync::oneshot::channel();
    let status = Box::pin(async move { exit.await.ok() });
    let attached = Attached { stdin: None, stdout: Box::new(stdout), stderr: Box::new(stderr), status, connection: None };
    tokio::spawn(async move {
        far_errors.write_all(&vec![b'e'; 1 << 20]).await.unwrap();
        far.write_all(&vec![b'o'; 1 << 20]).await.unwrap();
        exits.send(serde_json::from_value(json!({"status": "Failure", "message": "exit 3"})).unwrap()).unwrap();
    });
    let limits = Limits { close: Duration::from_millis(50), exit: Duration::from_millis(50) };
    let output = tokio::time::timeout(Duration::from_secs(20), output_of(attached, limits, || "run it".into())).await.expect("it ends").unwrap();
    assert_eq!((output.success, output.message.as_str(), output.stdout.len()), (false, "exit 3", MAX_OUTPUT_BYTES));
    assert!(output.stderr.len() < 2 * 1024);
}

#[tokio::test]
async fn fault_d4_a_connection_that_is_lost_is_no_exit_of_the_command() {
    let (stdout, _open) = tokio::io::duplex(1024);
    let attached = Attached { stdin: None, stdout: Box::new(stdout), stderr: Box::new(tokio::io::empty()), status: Box::pin(async { None }), connection: None };
    let limits = Limits { close: Duration::from_millis(50), exit: Duration::from_millis(50) };
    let lost = tokio::time::timeout(Duration::from_secs(20), output_of(attached, limits, || "run it".into())).await.expect("it ends");
    assert!(matches!(lost, Err(error) if error.reason() == Reason::ConnectionLost));
}
