//! What the repository promises over S3, on a real server, with its bad days.

use crate::repository::prune::{backup, bodies, forget, prune, was_marked};
use crate::support::{
    Restic, describe,
    noise::{Noise, noise},
    odd_tree, race_for_creation, race_for_increments, seal,
    seaweed::{Seaweed, bucket, runtime, slow_line, store, through, until_read},
    spec, whole,
};
use p861_vault::{
    AsyncStore, Credentials, Existing, LeaseError, LeaseKind, Leases, Location, MayWrite, PartSpec, PruneReport, PruneSpec, Repository, RepositoryAccess,
    VaultError,
};
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::{self, Read},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

#[test]
fn odd_files_and_streams_come_back_and_stock_restic_reads_the_same_repository() {
    let server = Seaweed::shared();
    let access = server.access();
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    odd_tree(&source);
    let repository = Repository::open_or_init(&access).unwrap();
    repository.write_folder(&spec("run", "volumes/attachments"), &source, &|_| {}).unwrap();
    let dump = noise(1, 9 << 20);
    let stream = repository.write_stream(&spec("run", "streams/db"), Box::new(io::Cursor::new(dump.clone())), &|_| {}).unwrap();
    let sealed = seal(&repository, "run", &["volumes/attachments", "streams/db"], stream.sha256.as_deref());

    let reader = Repository::open(&RepositoryAccess { id: Some(repository.id()), ..access.clone() }).unwrap();
    assert_eq!(reader.snapshots().unwrap().iter().map(|snapshot| snapshot.id.as_str()).collect::<Vec<_>>(), [sealed.snapshot.as_str()]);
    reader.verify_snapshot(&sealed.snapshot, true).unwrap();
    let target = folder.path().join("target");
    reader.restore_folder(&whole(&sealed.snapshot, "volumes/attachments", &target, Existing::Keep), &|_| {}).unwrap();
    assert_eq!(describe(&target), describe(&source));
    let mut out = Vec::new();
    reader.stream_out(&sealed.snapshot, "streams/db", &mut out, &|_| {}).unwrap();
    assert!(out == dump);
    assert_eq!(reader.check(100).unwrap().errors, []);

    let keys = server.credentials();
    let url = format!("s3:{}/{}/districts/shinan", server.endpoint(), bucket(&access));
    let restic = Restic::new(&url, "correct horse", &[("AWS_ACCESS_KEY_ID", &keys.access_key_id), ("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key)]);
    let by_restic = folder.path().join("by-restic");
    restic.lists_checks_and_restores(&sealed.snapshot, &source, &by_restic);
    assert!(fs::read(by_restic.join("streams/db")).unwrap() == dump);
}

#[test]
fn a_refused_key_a_missing_bucket_and_a_wrong_password_are_told_apart_at_once_with_what_to_do() {
    let server = Seaweed::shared();
    let access = server.access();
    let repository = Repository::open_or_init(&access).unwrap();
    let place = format!("{}/districts/shinan at {}", bucket(&access), server.endpoint());
    let keys = server.credentials();
    let with = |credentials: Credentials| RepositoryAccess { credentials: Some(credentials), ..access.clone() };
    let elsewhere = |to: &str| {
        let mut access = access.clone();
        if let Location::S3 { bucket, .. } = &mut access.location {
            to.clone_into(bucket);
        }
        access
    };
    let wrong_secret = with(Credentials { secret_access_key: "a-secret-that-must-not-be-printed".into(), ..keys.clone() });
    let table = [
        (wrong_secret.clone(), "AccessDenied", "check the keys in the repository's credentials Secret"),
        (with(Credentials { access_key_id: "UNKNOWN".into(), ..keys }), "AccessDenied", "check the keys in the repository's credentials Secret"),
        (with(server.other_credentials()), "AccessDenied", "the bucket's policy"),
        (RepositoryAccess { password: "wrong".into(), ..access.clone() }, "KeyWrong", "check the Secret of spec.encryption.keySecretRef"),
        (RepositoryAccess { id: Some("0".repeat(64)), ..access.clone() }, "RepositoryChanged", "someone has replaced it"),
        (elsewhere("missing"), "NotARepository", "the bucket doesn't exist"),
    ];
    for (access, reason, says) in table {
        let begin = Instant::now();
        let error = Repository::open(&access).unwrap_err();
        assert_eq!(error.reason(), reason, "{error}");
        assert!(!error.is_transient(), "{error}");
        let text = error.to_string();
        assert!(text.contains(says) && (text.contains(&place) || text.contains("bucket missing/")), "{text}");
        assert!(!format!("{text}{error:?}{access:?}").contains("must-not-be-printed"), "{text}");
        assert!(begin.elapsed() < Duration::from_secs(15), "what doesn't go away by itself is not waited for");
    }
    // The same for a backup that is under way when the key is withdrawn.
    let error = Repository::open_or_init(&wrong_secret).unwrap_err();
    assert_eq!(error.reason(), "AccessDenied", "{error}");
    assert_eq!(Repository::open(&access).unwrap().id(), repository.id());
}

#[test]
fn fault_e15_of_four_who_make_a_repository_at_once_all_open_the_same_and_one_key_is_there() {
    let server = Seaweed::shared();
    let access = server.access();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..4).map(|_| scope.spawn(|| Repository::open_or_init(&access).unwrap().id())).collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let (store, runtime) = (store(&access), runtime());
    assert_eq!(runtime.block_on(store.list("keys/")).unwrap().len(), 1);
    assert_eq!(runtime.block_on(store.list("p861/")).unwrap(), Vec::<String>::new(), "nothing is left of making it");
    runtime.block_on(store.delete("config")).unwrap();
    let error = Repository::open_or_init(&access).unwrap_err();
    assert_eq!(error.reason(), "ConfigMissing", "{error}");
    assert_eq!(runtime.block_on(store.list("keys/")).unwrap().len(), 1);
}

#[test]
fn fault_f7_a_server_refuses_a_write_whose_content_is_not_that_of_its_checksum() {
    use aws_sdk_s3::{
        Client,
        config::{BehaviorVersion, Builder, Credentials, Region},
        error::ProvideErrorMetadata as _,
        primitives::ByteStream,
    };
    let server = Seaweed::shared();
    let access = server.access();
    let keys = server.credentials();
    let bucket_store = store(&access);
    runtime().block_on(async {
        bucket_store.ensure_bucket().await.unwrap();
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .region(Region::new("us-east-1"))
            .endpoint_url(server.endpoint())
            .force_path_style(true)
            .credentials_provider(Credentials::new(&keys.access_key_id, &keys.secret_access_key, None, None, "test"))
            .build();
        let put = Client::from_conf(config).put_object().bucket(bucket(&access)).key("object").body(ByteStream::from_static(b"what arrives"));
        // That of another content.
        let error = put.content_md5("XrY7u+Ae7tCTyyK7j1rNww==").send().await.unwrap_err();
        assert_eq!(error.code(), Some("BadDigest"), "{error:?}");
    });
}

/// Gives bytes, and takes the server down on the way, when so many are left.
struct Cuts {
    noise: Noise,
    at: u64,
    server: Arc<Seaweed>,
    /// It comes back after this.
    away: Option<Duration>,
}

impl Read for Cuts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.noise.left < self.at {
            self.at = 0;
            self.server.down();
            if let Some(away) = self.away {
                let server = self.server.clone();
                std::thread::spawn(move || {
                    std::thread::sleep(away);
                    server.up();
                });
            }
        }
        self.noise.read(buffer)
    }
}

/// Several packs.
const SIZE: u64 = 160 << 20;

#[test]
fn a_server_that_is_down_for_20_seconds_delays_a_backup_and_a_restore_and_harms_neither() {
    let server = Arc::new(Seaweed::start());
    let access = server.access();
    let repository = Repository::open_or_init(&access).unwrap();
    let begin = Instant::now();
    let away = Duration::from_secs(20);
    let reader = Cuts { noise: Noise::new(2, SIZE), at: SIZE / 2, server: server.clone(), away: Some(away) };
    let stored = repository.write_stream(&spec("run", "streams/db"), Box::new(reader), &|_| {}).unwrap();
    assert!(begin.elapsed() > away, "the backup ended before the server was back");
    assert_eq!(stored.bytes, SIZE);
    let sealed = seal(&repository, "run", &["streams/db"], stored.sha256.as_deref());
    repository.verify_snapshot(&sealed.snapshot, true).unwrap();

    let target = tempfile::tempdir().unwrap();
    let once = std::sync::Once::new();
    let on_progress = |progress: p861_vault::Progress| {
        if progress.bytes_done > SIZE / 8 {
            once.call_once(|| {
                server.down();
                let server = server.clone();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_secs(3));
                    server.up();
                });
            });
        }
    };
    repository.restore_folder(&whole(&sealed.snapshot, "streams", target.path(), Existing::Keep), &on_progress).unwrap();
    assert!(once.is_completed(), "the server was never down during the restore");
    assert_eq!(hex::encode(Sha256::digest(fs::read(target.path().join("db")).unwrap())), stored.sha256.unwrap());
}

#[test]
fn a_server_that_stays_away_ends_a_backup_with_an_error_that_names_it() {
    // Patience is a setting of the process, so this test runs itself again with little of it.
    if std::env::var_os("P861_S3_PATIENCE").is_none() {
        let thread = std::thread::current();
        let arguments = ["--exact", thread.name().unwrap()];
        let output = Command::new(std::env::current_exe().unwrap()).args(arguments).env("P861_S3_PATIENCE", "3").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let server = Arc::new(Seaweed::start());
    let access = server.access();
    let repository = Repository::open_or_init(&access).unwrap();
    let reader = Cuts { noise: Noise::new(3, 96 << 20), at: 90 << 20, server: server.clone(), away: None };
    let begin = Instant::now();
    let error = repository.write_stream(&spec("run", "streams/db"), Box::new(reader), &|_| {}).unwrap_err();
    assert_eq!(error.reason(), "Unreachable", "{error}");
    assert!(error.is_transient() && error.to_string().contains(&server.endpoint()) && error.to_string().contains("Connection refused"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(25), "it took {:?}", begin.elapsed());
    // The next attempt, when the server is back, is as if this one had not been.
    server.up();
    until_read(&access);
    let stored = repository.write_stream(&spec("run", "streams/db"), Box::new(Noise::new(3, 20 << 20)), &|_| {}).unwrap();
    let sealed = seal(&repository, "run", &["streams/db"], stored.sha256.as_deref());
    repository.verify_snapshot(&sealed.snapshot, true).unwrap();
    assert_eq!(repository.snapshots().unwrap().len(), 1);
}

#[test]
fn a_slow_line_carries_an_object_that_takes_longer_than_a_request_usually_may() {
    let server = Seaweed::shared();
    let access = server.access();
    let line = through(&access, &slow_line(&server, 110_000));
    let body = noise(4, 4 << 20);
    let (direct, slow) = (store(&access), store(&line));
    let begin = Instant::now();
    runtime().block_on(async {
        direct.ensure_bucket().await.unwrap();
        slow.put("object", body.clone()).await.unwrap();
        assert!(begin.elapsed() > Duration::from_secs(33), "the line was not slow: {:?}", begin.elapsed());
        assert!(direct.get("object").await.unwrap() == body);
    });
}

#[test]
fn a_missing_cut_or_changed_pack_is_named_refused_and_can_be_healed() {
    let server = Seaweed::shared();
    let access = server.access();
    let (store, runtime) = (store(&access), runtime());
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), noise(5, 3 << 20)).unwrap();
    let repository = Repository::open_or_init(&access).unwrap();
    let backup = |run: &str, parent: Option<&str>| {
        repository.write_folder(&PartSpec { parent, ..spec(run, "volumes/x") }, &source, &|_| {}).unwrap();
        seal(&repository, run, &["volumes/x"], None).snapshot
    };
    let snapshot = backup("one", None);
    let packs = runtime.block_on(store.list_with_size("data/")).unwrap();
    let (pack, _) = packs.iter().max_by_key(|(_, size)| *size).unwrap();
    let sound = runtime.block_on(store.get(pack)).unwrap();
    let mut changed = sound.clone();
    changed[1 << 20] ^= 1;
    let open = || Repository::open(&access).unwrap();
    let restore = |snapshot: &str, target: &Path| open().restore_folder(&whole(snapshot, "volumes/x", target, Existing::Keep), &|_| {}).map(drop);
    let must_name = |what: &str, result: Result<(), VaultError>| {
        let error = result.unwrap_err();
        assert_eq!(error.reason(), "Damaged", "{what}: {error}");
        assert!(!error.is_transient(), "{what}: {error}");
        assert!(error.to_string().contains(pack.as_str()) && error.to_string().contains("p861 backup list"), "{what}: {error}");
    };
    for (what, body) in [("changed", Some(&changed[..])), ("cut", Some(&sound[..1 << 20])), ("missing", None)] {
        runtime.block_on(async {
            match body {
                Some(body) => store.put(pack, body.to_vec()).await.map(drop).unwrap(),
                None => store.delete(pack).await.unwrap(),
            }
        });
        must_name(what, open().verify_snapshot(&snapshot, true).map(drop));
        if what != "changed" {
            must_name(what, open().verify_snapshot(&snapshot, false).map(drop));
        }
        must_name(what, restore(&snapshot, &folder.path().join(what)));
    }
    // It is missing now. As the message says: restic rebuild-index, and the next backup stores the data anew, even if no file has changed.
    let keys = server.credentials();
    let url = format!("s3:{}/{}/districts/shinan", server.endpoint(), bucket(&access));
    let restic = Restic::new(&url, "correct horse", &[("AWS_ACCESS_KEY_ID", &keys.access_key_id), ("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key)]);
    restic.run(&["rebuild-index"]);
    let healed = backup("two", Some(&snapshot));
    open().verify_snapshot(&healed, true).unwrap();
    let target = folder.path().join("healed");
    restore(&healed, &target).unwrap();
    assert_eq!(describe(&target), describe(&source));
    // What was stored anew is what the older snapshot needs, too.
    open().verify_snapshot(&snapshot, true).unwrap();
}

#[test]
fn of_eight_who_create_an_object_exactly_one_wins_and_no_increment_of_eight_is_lost() {
    let server = Seaweed::shared();
    let access = server.access();
    let clients: Vec<AsyncStore> = (0..8).map(|_| store(&access)).collect();
    runtime().block_on(async {
        clients[0].ensure_bucket().await.unwrap();
        race_for_creation(&clients, 5).await;
        race_for_increments(&clients, 10).await;
    });
}

#[test]
fn leases_exclude_each_other_and_stock_restic_does_not_mind_their_record() {
    const TTL: Duration = Duration::from_secs(30);
    let server = Seaweed::shared();
    let access = server.access();
    Repository::open_or_init(&access).unwrap();
    let [racing, moving] = [(); 2].map(|()| (0..4).map(|_| store(&access)).collect::<Vec<_>>());
    let pruning = store(&access);
    runtime().block_on(async {
        let mut racers = tokio::task::JoinSet::new();
        for (number, store) in racing.into_iter().enumerate() {
            let mut leases = Leases::new(store);
            racers.spawn(async move { leases.acquire(LeaseKind::Exclusive, &format!("prune {number}"), TTL).await });
        }
        let (had, refused): (Vec<_>, Vec<_>) = racers.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!(had.len(), 1, "{had:?}");
        assert!(refused.iter().all(|result| matches!(result, Err(LeaseError::Held { by, .. }) if by.starts_with("prune"))), "{refused:?}");
        let mut leases = Leases::new(pruning);
        let mut prune = had.into_iter().next().unwrap().unwrap();
        leases.renew(&mut prune).await.unwrap();
        leases.release(prune).await.unwrap();
        let mut movers = tokio::task::JoinSet::new();
        for (number, store) in moving.into_iter().enumerate() {
            let mut leases = Leases::new(store);
            movers.spawn(async move { leases.acquire(LeaseKind::Shared, &format!("backup {number}"), TTL).await });
        }
        let movers = movers.join_all().await;
        assert!(movers.iter().all(|lease| lease.as_ref().is_ok_and(p861_vault::Lease::is_held)), "{movers:?}");
    });
    let keys = server.credentials();
    let url = format!("s3:{}/{}/districts/shinan", server.endpoint(), bucket(&access));
    let restic = Restic::new(&url, "correct horse", &[("AWS_ACCESS_KEY_ID", &keys.access_key_id), ("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key)]);
    restic.run(&["check", "--read-data"]);
}

/// Set for a process that is to die while it prunes a bucket, before its write or removal of this number.
const DIES_AT: &str = "P861_PRUNE_BUCKET_DIES_AT";
const ACCESS: &str = "P861_PRUNE_BUCKET";

#[test]
fn a_process_that_is_killed_while_it_prunes_a_bucket_harms_nothing_and_the_next_prunes_end_clean() {
    let spec = PruneSpec { delay: Duration::ZERO, max_repack_bytes: u64::MAX, max_unused_percent: 0, keep_records: Duration::from_hours(24) };
    if let (Ok(at), Ok(access)) = (std::env::var(DIES_AT), std::env::var(ACCESS)) {
        let (at, asked): (usize, _) = (at.parse().unwrap(), AtomicUsize::new(0));
        let dies: MayWrite = Arc::new(move || {
            if asked.fetch_add(1, Ordering::SeqCst) == at {
                std::process::abort();
            }
            Ok(())
        });
        Repository::open(&serde_json::from_str(&access).unwrap()).unwrap().prune(&spec, &dies, &|_| {}).unwrap();
        return;
    }
    let server = Seaweed::shared();
    let [first, second] = bodies();
    let keys = server.credentials();
    // Before something is written anew, between that and the removal of an index file, and between packs.
    for (prunes_before, at) in [(0, 1), (0, 4), (1, 4)] {
        let access = server.access();
        let repository = Repository::open_or_init(&access).unwrap();
        let (gone, kept) = (backup(&repository, "first", &first), backup(&repository, "second", &second));
        forget(&repository, &gone);
        for _ in 0..prunes_before {
            prune(&repository);
        }
        let thread = std::thread::current();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", thread.name().unwrap(), "--nocapture"]).env(DIES_AT, at.to_string()).env(ACCESS, serde_json::to_string(&access).unwrap());
        assert!(!child.output().unwrap().status.success(), "{prunes_before} before, at {at}: it had fewer writes than that");
        let url = format!("s3:{}/{}/districts/shinan", server.endpoint(), bucket(&access));
        let restic = Restic::new(&url, "correct horse", &[("AWS_ACCESS_KEY_ID", &keys.access_key_id), ("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key)]);
        assert!(restic.run(&["check"]).contains("no errors were found"), "{prunes_before} before, at {at}");
        repository.verify_snapshot(&kept, true).unwrap();
        let reports: Vec<PruneReport> = (0..3).map(|_| prune(&repository)).collect();
        assert!(reports[2].is_clean(), "{prunes_before} before, at {at}: {reports:?}");
        repository.verify_snapshot(&kept, true).unwrap();
        restic.run(&["check", "--read-data"]);
    }
}

#[test]
fn a_bucket_with_object_lock_keeps_old_versions_of_what_a_prune_removes_and_the_prune_says_so() {
    use aws_sdk_s3::{
        Client,
        config::{BehaviorVersion, Builder, Credentials, Region},
        types::{DefaultRetention, ObjectLockConfiguration, ObjectLockEnabled, ObjectLockRetentionMode, ObjectLockRule},
    };
    let server = Seaweed::shared();
    let (access, keys) = (server.access(), server.credentials());
    runtime().block_on(async {
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .region(Region::new("us-east-1"))
            .endpoint_url(server.endpoint())
            .force_path_style(true)
            .credentials_provider(Credentials::new(&keys.access_key_id, &keys.secret_access_key, None, None, "test"))
            .build();
        let client = Client::from_conf(config);
        client.create_bucket().bucket(bucket(&access)).object_lock_enabled_for_bucket(true).send().await.unwrap();
        let retention = DefaultRetention::builder().mode(ObjectLockRetentionMode::Compliance).days(1).build();
        let rule = ObjectLockRule::builder().default_retention(retention).build();
        let locked = ObjectLockConfiguration::builder().object_lock_enabled(ObjectLockEnabled::Enabled).rule(rule).build();
        client.put_object_lock_configuration().bucket(bucket(&access)).object_lock_configuration(locked).send().await.unwrap();
    });
    let repository = Repository::open_or_init(&access).unwrap();
    let [first, second] = bodies();
    let (gone, kept) = (backup(&repository, "first", &first), backup(&repository, "second", &second));
    forget(&repository, &gone);
    let marked = prune(&repository);
    let removed = prune(&repository);
    was_marked(&removed, &marked);
    assert_eq!(removed.hidden, removed.removed, "the store keeps what is locked as an old version");
    repository.verify_snapshot(&kept, true).unwrap();
    assert!(prune(&repository).is_clean());
}
