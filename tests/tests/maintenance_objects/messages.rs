//! Messages to who is on duty: by a webhook, by a real mail server, and the link in them.

use super::stage::{DISTRICT, Shared, Stage, api, is, name_in, namespace};
use crate::support::{
    lone::Lone,
    operator::{ACCOUNT, Operator},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

/// A receiver of webhooks that remembers what it got.
async fn receiver() -> (String, Arc<Mutex<Vec<Value>>>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let got: Arc<Mutex<Vec<Value>>> = Arc::default();
    let keep = got.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let keep = keep.clone();
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                let mut part = [0u8; 4096];
                loop {
                    let read = stream.read(&mut part).await.unwrap_or(0);
                    bytes.extend_from_slice(&part[..read]);
                    let text = String::from_utf8_lossy(&bytes);
                    let body = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<Value>(body).ok());
                    if let Some(body) = body {
                        keep.lock().push(body);
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
                        return;
                    }
                    if read == 0 {
                        return;
                    }
                }
            });
        }
    });
    (address, got)
}

/// A mail server that takes every mail and remembers it. It ends when it is dropped.
struct MailServer {
    mails: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl MailServer {
    async fn start(port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
        let mails: Arc<Mutex<Vec<String>>> = Arc::default();
        let keep = mails.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let keep = keep.clone();
                tokio::spawn(async move {
                    // A client that goes away in between has sent no mail.
                    let _ = take_mail(stream, &keep).await;
                });
            }
        });
        Self { mails, task }
    }

    fn mails(&self) -> Vec<String> {
        self.mails.lock().clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Speaks SMTP (RFC 5321) with a client, and keeps the recipient's line and the mail.
async fn take_mail(stream: tokio::net::TcpStream, keep: &Mutex<Vec<String>>) -> std::io::Result<()> {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
    let (read, mut write) = stream.into_split();
    let mut lines = tokio::io::BufReader::new(read).lines();
    let (mut mail, mut in_data) = (String::new(), false);
    write.write_all(b"220 test\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let answer: &[u8] = match line.split_whitespace().next().unwrap_or_default() {
            "." if in_data => {
                in_data = false;
                keep.lock().push(mail.clone());
                b"250 taken\r\n"
            }
            _ if in_data => {
                mail.push_str(line.strip_prefix('.').unwrap_or(&line));
                mail.push('\n');
                continue;
            }
            "EHLO" | "MAIL" => b"250 ok\r\n",
            "RCPT" => {
                mail = format!("{line}\n");
                b"250 ok\r\n"
            }
            "DATA" => {
                in_data = true;
                b"354 go on\r\n"
            }
            "QUIT" => return write.write_all(b"221 bye\r\n").await,
            _ => b"500 unknown\r\n",
        };
        write.write_all(answer).await?;
    }
    Ok(())
}

async fn browse(address: &str, method: &str, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the operator listens");
    stream.write_all(format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes()).await.expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    (text.split_whitespace().nth(1).and_then(|code| code.parse().ok()).expect("a code"), text)
}

fn notification<'a>(seen: &'a Value, person: &str, channel: &str) -> &'a Value {
    seen["status"]["notifications"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|known| known["person"] == person && known["channel"] == channel)
        .unwrap_or(&Value::Null)
}

/// A roster of two levels whose people are reached by a webhook and by a mail server. Returns once it is covered.
async fn duty(stage: &Stage, hook: &str, mail_port: u16) {
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(stage.client.clone(), DISTRICT);
    for (name, data) in [
        ("duty-webhook", json!({"url": format!("http://{hook}/call?key=hidden")})),
        ("duty-addresses", json!({"a.mail": "a@qingdao.example", "chief.mail": "chief@qingdao.example", "a.phone": "861"})),
    ] {
        secrets
            .create(&PostParams::default(), &serde_json::from_value(json!({"metadata": {"name": name}, "stringData": data})).expect("a secret"))
            .await
            .expect("created");
    }
    let roster = json!({
        "people": [{"name": "a"}, {"name": "chief"}],
        "levels": [
            {"name": "duty", "escalateAfter": "20s", "rotations": [{"name": "always", "people": ["a"]}]},
            {"name": "leader", "rotations": [{"name": "always", "people": ["chief"]}]},
        ],
        "addressesSecretRef": {"name": "duty-addresses"},
        "channels": [{"name": "message", "webhook": {"urlSecretRef": {"name": "duty-webhook"}}}, {"name": "mail", "smtp": {"server": format!("127.0.0.1:{mail_port}"), "from": "p861@qingdao.example", "security": "None"}}],
    });
    stage.create("DutyRoster", "roster", roster).await;
    stage.wait("the roster is covered", "DutyRoster", "roster", |seen| is(seen, "Ready", "True", "Covered")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_on_duty_is_told_once_by_each_channel_and_acknowledges_once_by_a_link() {
    // A server of its own: another roster would be called too.
    let server = Arc::new(Lone::start_with_charts());
    let client = server.client(None).await;
    namespace(&client, DISTRICT).await;
    let stage = Stage { shared: Arc::new(Shared { operator: Operator::start(&server), server }), client };
    let (hook, got) = receiver().await;
    let mail_port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    duty(&stage, &hook, mail_port).await;
    let (code, said) = stage.p861(&["ticket", "open", "门户打不开", "--impact", "High", "--urgency", "High", "-o", "name"]);
    assert_eq!(code, 0, "{said}");
    let name = name_in(&said);

    // The webhook takes it at once; the mail server is away, so the mail is kept and tried again.
    let told = stage
        .wait("a is told by the webhook, the mail is kept", "MaintenanceTicket", &name, |seen| {
            let mail = notification(seen, "a", "mail");
            notification(seen, "a", "message")["state"] == "Delivered" && mail["state"] == "Pending" && mail["attempts"].as_i64() >= Some(1)
        })
        .await;
    let why = notification(&told, "a", "mail")["message"].as_str().expect("why not").to_owned();
    assert!(why.contains("mail server") && !told.to_string().contains("key=hidden"), "{why}");
    stage
        .wait("nobody acknowledges, so the leader is told", "MaintenanceTicket", &name, |seen| notification(seen, "chief", "message")["state"] == "Delivered")
        .await;
    let mails = MailServer::start(mail_port).await;
    stage
        .wait("the mails are delivered when the server is back", "MaintenanceTicket", &name, |seen| {
            notification(seen, "a", "mail")["state"] == "Delivered" && notification(seen, "chief", "mail")["state"] == "Delivered"
        })
        .await;
    let mut taken = mails.mails();
    taken.sort();
    assert_eq!(taken.len(), 2, "one each: {taken:?}");
    for (mail, address) in taken.iter().zip(["a@qingdao.example", "chief@qingdao.example"]) {
        let (recipient, text) = mail.split_once('\n').expect("a recipient");
        assert!(recipient == format!("RCPT TO:<{address}>") && text.contains(&format!("To: {address}\n")) && text.contains("Subject: [P1] =?utf-8?"), "{mail}");
    }

    // Once each, with a link of one's own.
    let of = |person: &str| got.lock().iter().filter(|body| body["person"] == person).cloned().collect::<Vec<_>>();
    let (to_a, to_chief) = (of("a"), of("chief"));
    assert_eq!((to_a.len(), to_chief.len(), &to_a[0]["phone"]), (1, 1, &json!("861")), "{to_a:?} {to_chief:?}");
    let link = |body: &Value| {
        let text = body["text"].as_str().expect("a text").to_owned();
        text.lines().find_map(|line| Some(line[line.find("/ack/")?..].to_owned())).unwrap_or_else(|| panic!("no link: {text}"))
    };
    let (ours, chiefs, address) = (link(&to_a[0]), link(&to_chief[0]), stage.shared.operator.address.clone());
    let (code, page) = browse(&address, "GET", &ours).await;
    assert!(code == 200 && page.contains("<form") && page.contains("门户打不开"), "{page}");
    stage.wait("looking is not acknowledging", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Open").await;
    let forged = ours.replace("/a/", "/chief/");
    assert_eq!(browse(&address, "POST", &forged).await.0, 403, "a's link in the chief's name");
    let guessed = format!("{}{}", &ours[..ours.len() - 1], if ours.ends_with('0') { '1' } else { '0' });
    assert_eq!(browse(&address, "POST", &guessed).await.0, 403, "a seal that is guessed");
    let (code, page) = browse(&address, "POST", &ours).await;
    assert!(code == 200 && page.contains("已响应"), "{page}");
    let taken = stage.wait("it is acknowledged", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Acknowledged").await;
    assert_eq!(
        (&taken["status"]["assignee"], &taken["spec"]["actions"][0]["onBehalfOf"], &taken["spec"]["actions"][0]["by"]),
        (&json!("a"), &json!("a"), &json!(ACCOUNT))
    );
    for late in [&ours, &chiefs] {
        let (code, page) = browse(&address, "POST", late).await;
        assert!(code == 200 && !page.contains("<form") && page.contains("taken by a"), "{page}");
    }
    let after = stage.wait("one acknowledgement", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Acknowledged").await;
    assert_eq!(after["spec"]["actions"].as_array().map(Vec::len), Some(1), "a link acknowledges once");

    // The daily test message: midnight has passed.
    api(&stage.client, "DutyRoster", DISTRICT)
        .patch("roster", &PatchParams::default(), &Patch::Merge(json!({"spec": {"testMessageAt": "00:00"}})))
        .await
        .expect("patched");
    let tested = stage.wait("everybody is reached", "DutyRoster", "roster", |seen| is(seen, "PeopleReachable", "True", "Delivered")).await;
    assert_eq!((&tested["status"]["lastTest"]["delivered"], &tested["status"]["lastTest"]["total"]), (&json!(4), &json!(4)));
    assert_eq!(of("a").len(), 2, "the ticket's and the test");
}
