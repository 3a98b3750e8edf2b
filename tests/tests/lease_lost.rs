//! A replica that loses the lease is the same process afterwards: it has dropped its work, waits for the lease, and leads again when nobody else does.

use crate::support::{
    lone::Lone,
    operator::{LONGER_THAN_THE_LEASE, Operator, until},
};
use p861_testbed::services::http;
use rustix::process::Signal;
use serde_json::json;
use std::{fs, net::TcpListener};

/// When a process began: another one of the same number would have another time.
fn began(id: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).expect("the process is there");
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(19)).expect("a time").to_owned()
}

/// What its server answers: the status and the text.
fn asked(operator: &Operator, path: &str) -> Result<(u16, String), String> {
    let answer = http::request(operator.address.parse().expect("an address"), "GET", path, &[], &[]).map_err(|error| error.to_string())?;
    Ok((answer.status, answer.body))
}

/// Whether it leads, and how often it says that it has lost the lease.
fn leads(operator: &Operator) -> Result<(bool, u64), String> {
    let (_, text) = asked(operator, "/metrics")?;
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok()).ok_or_else(|| format!("no {name}: {text}"));
    Ok((value("p861_operator_leader ")? == 1, value("p861_operator_lease_losses_total ")?))
}

async fn until_leads(operator: &Operator, what: &str, wanted: (bool, u64)) {
    until(operator, what, async || match leads(operator) {
        Ok(seen) if seen == wanted => Ok(()),
        seen => Err(format!("{seen:?}")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h7_a_leader_that_lost_its_lease_is_the_same_process_waits_and_leads_again() {
    let server = Lone::start_with_charts();
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let first = Operator::start(&server);
    let second = Operator::start_waiting(&server, &format!("127.0.0.1:{port}"));
    let born = began(first.id);
    until_leads(&first, "the first leads", (true, 0)).await;

    first.signal(Signal::STOP);
    second.wait_leads();
    first.signal(Signal::CONT);
    until_leads(&first, "the first knows that it leads no more", (false, 1)).await;
    until(&first, "the first is ready to take over", async || match (asked(&first, "/healthz"), asked(&first, "/readyz")) {
        (Ok((200, _)), Ok((200, _))) => Ok(()),
        seen => Err(format!("{seen:?}")),
    })
    .await;
    assert_eq!(began(first.id), born, "it is another process:\n{}", first.said());
    until_leads(&second, "the second leads", (true, 0)).await;

    second.kill();
    until_leads(&first, "the first leads again", (true, 1)).await;
    server.apply(
        &json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Site", "metadata": {"name": "only"},
            "spec": {"names": {"en": "Only"}, "failureDomain": "here", "access": {"inCluster": {}}}})
        .to_string(),
    );
    until(&first, "the first works again", async || {
        let status = server.get(&["sites.platform861.io", "only"])["status"].clone();
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let ready = conditions.clone().any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        if ready { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    assert_eq!(began(first.id), born);
}

/// Longer than anybody waits for an operator to lead: who would wait for the end of such a lease comes too late.
const LONG_LEASE: &str = "150";

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_asked_to_end_releases_the_lease_and_the_next_one_sees_it_without_waiting_for_its_end() {
    let server = Lone::start_with_charts();
    let address = || format!("127.0.0.1:{}", TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port());
    let first = Operator::start_with_lease(&server, &address(), LONG_LEASE);
    first.wait_leads();
    let second = Operator::start_with_lease(&server, &address(), LONG_LEASE);
    until(&second, "the second waits", async || if second.log().contains("waits for the lease") { Ok(()) } else { Err(second.said()) }).await;
    first.signal(Signal::TERM);
    second.wait_leads();
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h7_who_loses_the_lease_again_and_again_waits_before_it_competes() {
    let server = Lone::start_with_charts();
    let operator = Operator::start(&server);
    let born = began(operator.id);
    for losses in 1..=2 {
        operator.frozen(LONGER_THAN_THE_LEASE);
        until_leads(&operator, "it leads again, since nobody else does", (true, losses)).await;
    }
    assert!(operator.log().contains("this replica competes for it in 5s"), "{}", operator.said());
    assert_eq!(began(operator.id), born);
    let open = fs::read_dir(format!("/proc/{}/fd", operator.id)).expect("the process is there").count();
    assert!(open < 200, "{open} files are open: they were inherited");
}
