//! Runs that can't begin yet: they say why, and begin once they can.

use super::*;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// The address of a store that knows nobody.
async fn refusing_store() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let body = "<Error><Code>InvalidAccessKeyId</Code></Error>";
                let answer = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                let _ = stream.read(&mut [0; 8192]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn fault_d2_a_run_that_cant_begin_yet_says_why_and_a_repository_that_is_away_hides_nothing_in_another() {
    let (bed, [_, kind, _]) = (Bed::new(), kinds());
    let s3 = json!({"endpoint": refusing_store().await, "bucket": "b", "region": "r", "credentialsSecretRef": {"name": "s3"}});
    let away = ours("BackupRepository", "away", "shinan", json!({"failureDomain": "there", "s3": s3, "encryption": {"keySecretRef": {"name": "key"}}}));
    bed.hub.put("backuprepositories", &away);
    let keys = json!({"accessKeyID": "YQ==", "secretAccessKey": "YQ=="});
    bed.hub.put("secrets", &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3", "namespace": "shinan"}, "data": keys}));
    let context = bed.process();
    let restore = |backup: &str| ours("Restore", "run", "shinan", json!({"source": {"backupRef": {"name": backup}}}));
    bed.hub.put(kind.plural, &restore("nosuch"));
    let tried = (kind.pass)(context.clone(), bed.hub.get(kind.plural, "run").expect("the run")).await;
    assert!(tried.is_err(), "it is tried again: {tried:?}");
    let said = bed.status(&kind)["conditions"][0].clone();
    assert_eq!((&said["type"], &said["status"]), (&json!("Succeeded"), &json!("Unknown")), "{said}");
    assert!(said["message"].as_str().is_some_and(|message| message.starts_with("it can't begin yet, and is tried again: ")), "{said}");
    // A store may say it otherwise each time, and each write calls for the next pass at once.
    let mut run = bed.hub.get(kind.plural, "run").expect("the run");
    run["status"]["conditions"][0]["message"] = json!("it can't begin yet, and is tried again: in other words");
    bed.hub.put(kind.plural, &run);
    drop((kind.pass)(context.clone(), bed.hub.get(kind.plural, "run").expect("the run")).await);
    assert_eq!(bed.status(&kind), run["status"], "it is written once for each reason");
    // One whose object has left the hub is found in the repository that can be read.
    bed.hub.delete(kind.plural, "run");
    bed.hub.delete("backups", "sound");
    bed.hub.put(kind.plural, &restore("sound"));
    bed.until(&context, &kind, "a mover works", |bed| !bed.hub.of("jobs").is_empty()).await;
    bed.abort(&kind);
    bed.ends_clean(&context, &kind).await;
}
