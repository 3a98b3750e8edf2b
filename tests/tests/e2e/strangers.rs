//! A stranger: MediaWiki on MariaDB as Debian packages them. Nobody here wrote it, its database is not PostgreSQL, and it was not made to be backed up by us. An engineer
//! goes from `app discover` to a restored file with the commands of README.md and docs/, in their order.

use crate::backups::{backup_now, name};
use crate::drills::nothing_left;
use p861_testbed::bed::{BedError, Result, until};
use p861_testbed::images;
use p861_testbed::report::Report;
use p861_tests::look::{condition_of, wait_rolled_out};
use p861_tests::scenes::{Scene, demand};
use p861_tests::stage::{DISTRICT, read};
use p861_tests::{Look as _, Stage};
use serde_json::{Value, json};
use std::time::Duration;

/// Scenes of `make strangers`.
pub const SCENES: &[Scene] =
    &[("a wiki on MariaDB is discovered, backed up, drilled, and comes back after DROP TABLE, and a file of it after it was deleted", wiki_comes_back)];

/// How long an application that has just been brought in may take to start, or the operator to notice something.
const READY: Duration = Duration::from_mins(4);
/// How long a page may take that nobody has read since the last start.
const PAGE: Duration = Duration::from_mins(1);
const NAMESPACE: &str = "shinan-wiki";
const WEB: &str = "deployment/wiki-web";
const DATABASE: &str = "statefulset/mariadb";
/// What the article says. Its last sign has four bytes: a smaller character set anywhere on the way would lose it.
const TEXT: &str = "办理居住证请携带身份证 🪪";

fn wiki_comes_back(stage: &Stage) -> Result<()> {
    bring_in(stage)?;
    install(stage)?;
    discover(stage)?;
    let backup = name(&backup_now(stage, "wiki")?);
    drill(stage, &backup)?;
    drop_table(stage, &backup)?;
    delete_file(stage, &backup)
}

/// Images and objects; nothing that an earlier play has left.
fn bring_in(stage: &Stage) -> Result<()> {
    let images = images::strangers(&stage.bed.components, &Report::stderr()).map_err(|error| BedError::Refused(error.to_string()))?;
    for site in stage.bed.sites() {
        images.iter().try_for_each(|image| site.import(image))?;
    }
    let primary = stage.primary()?;
    primary.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=110s"])?;
    let password = stage.bed.services.identity("admin")?.secret_key;
    stage.apply(primary, "wiki.yaml", &read("tests/apps/wiki.yaml")?.replace("@PASSWORD@", &password))?;
    wait_rolled_out(primary, READY, NAMESPACE, DATABASE)?;
    wait_rolled_out(primary, READY, NAMESPACE, WEB)
}

/// Runs a script in a container of the wiki and gives what it printed.
fn inside(stage: &Stage, workload: &str, script: &str) -> Result<String> {
    stage.primary()?.kubectl(&["exec", "--namespace", NAMESPACE, workload, "--", "sh", "-ec", script])
}

/// A statement of the database's administrator.
fn sql(stage: &Stage, statement: &str) -> Result<String> {
    inside(stage, DATABASE, &format!("export MYSQL_PWD=\"$MARIADB_ROOT_PASSWORD\"; mariadb --user=root --batch --skip-column-names --execute=\"{statement}\""))
}

/// An administrator makes the database and its user; everything else is done by the wiki's own programs: its installer, an article, an upload.
fn install(stage: &Stage) -> Result<()> {
    sql(stage, "create database wiki; create user wiki identified by '$(cat /etc/wiki-db/wiki)'; grant all privileges on wiki.* to wiki")?;
    inside(
        stage,
        WEB,
        "cd /usr/share/mediawiki/maintenance
        php install.php --dbserver=\"$WIKI_DB_SERVER\" --dbname=wiki --dbuser=wiki --dbpassfile=/etc/wiki-db/wiki --server=\"$WIKI_URL\" --scriptpath= \
            --lang=zh-hans --passfile=/etc/wiki-db/admin --confpath=/srv/wiki 办事指南 Admin",
    )?;
    write_article(stage, "Guide", TEXT)?;
    inside(
        stage,
        WEB,
        "mkdir -p /tmp/upload; cp /usr/share/mediawiki/mw-config/images/installer-logo.png /tmp/upload/Form.png
        php /usr/share/mediawiki/maintenance/importImages.php --user=Admin --comment=form /tmp/upload",
    )?;
    page(stage, "Guide", true)
}

fn write_article(stage: &Stage, title: &str, text: &str) -> Result<()> {
    inside(stage, WEB, &format!("echo '{text}' | php /usr/share/mediawiki/maintenance/edit.php --user=Admin --summary=written {title}")).map(drop)
}

/// Waits until an article is readable as a citizen reads it, or no longer is.
fn page(stage: &Stage, title: &str, readable: bool) -> Result<()> {
    let primary = stage.primary()?;
    let path = format!("/api/v1/namespaces/{NAMESPACE}/services/wiki-web:8080/proxy/index.php?title={title}");
    until(&format!("article {title} is {}readable", if readable { "" } else { "not " }), PAGE, || {
        let said = primary.kubectl(&["get", "--raw", &path]).unwrap_or_else(|error| error.to_string());
        let there = said.contains(TEXT);
        if there == readable { Ok(()) } else { Err(said.chars().take(2_000).collect()) }
    })
}

/// docs/INSTALL.md: "`app discover` drafts the first application from what runs in its namespace." What it marks TODO is filled in, and its marker is taken.
fn discover(stage: &Stage) -> Result<()> {
    let found = stage.say_expecting(0, &["app", "discover", NAMESPACE, "--site-context", "xinxi-dasha"])?;
    for said in ["mariadb → wiki-web", "MariaDB 10: stream mariadb-db, its volume skipped", "wiki-files 1Gi (files)"] {
        demand(found.err.contains(said), || format!("discovery doesn't say {said:?}: {}", found.all()))?;
    }
    let application = complete(&found.out);
    stage.apply(stage.standby()?, "wiki-application.yaml", &application)?;
    stage
        .standby()?
        .wait_condition(READY, &["--namespace", DISTRICT, "application", "wiki"], "Ready")
        .map_err(|error| BedError::Refused(format!("{error}\nwith\n{application}\n{}", stage.operator_log())))?;
    // Without a marker that is there the drill would prove nothing by it.
    until("the marker is written", READY, || {
        let marker = sql(stage, "select at from p861.marker").map_err(|error| error.to_string())?;
        if marker.trim().ends_with('Z') { Ok(()) } else { Err(format!("{marker:?}")) }
    })
}

/// What an engineer makes of a draft: the TODOs of docs/INSTALL.md, the proposed marker, and a check for what people do.
fn complete(draft: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let (mut in_checks, mut in_marker) = (false, false);
    for line in draft.lines() {
        if in_checks {
            let indent = line.len() - line.trim_start().len();
            let request = format!("serviceName: wiki-web, port: 8080, path: \"/index.php?title=Guide\", expect: {{pattern: \"{TEXT}\"}}");
            lines.push(format!("{:indent$}- {{name: article, http: {{{request}}}}}", ""));
        }
        in_checks = line.trim() == "checks:";
        in_marker |= line.trim() == "# marker:";
        lines.push(if in_marker {
            line.replacen("# ", "", 1)
        } else if line.trim_start().starts_with("department: TODO") {
            "  department: computer-centre".to_owned()
        } else {
            line.replace("zh: TODO", "zh: 办事指南").replace("en: TODO", "en: Citizens' guide")
        });
    }
    lines.join("\n") + "\n"
}

/// docs/FIRST-HOUR.md, "Run a drill and inspect the copy": with a plan of the wiki's own.
fn drill(stage: &Stage, backup: &str) -> Result<()> {
    let plan = json!({"repositoryRef": {"name": DISTRICT}, "groups": [{"name": "guide", "members": [{"applicationRef": {"name": "wiki"}}]}]});
    stage.create("RecoveryPlan", "wiki", plan)?;
    stage.standby()?.wait_condition(READY, &["--namespace", DISTRICT, "recoveryplan", "wiki"], "Ready")?;
    stage.say_expecting(0, &["drill", "run", "wiki"])?;
    let drills = stage.json(&["drill", "list"])?;
    let of_plan = |drill: &&Value| drill["spec"]["planRef"]["name"] == "wiki";
    let newest = drills["items"].as_array().into_iter().flatten().filter(of_plan).max_by_key(|drill| drill["status"]["startTime"].to_string());
    let status = newest.map(|drill| drill["status"].clone()).unwrap_or_default();
    let measured = &status["applications"][0];
    let checks = &measured["checks"];
    demand(status["result"] == "Passed" && checks["total"] == 3 && checks["passed"] == 3 && measured["rpoProof"] == "Marker", || {
        format!("the drill from {backup}: {status}")
    })?;
    nothing_left(stage)?;
    stage.wait("the wiki is Recoverable", READY, "application", "wiki", |seen| match condition_of(seen, "Recoverable") {
        Some(found) if found["status"] == "True" => Ok(()),
        other => Err(format!("{other:?}")),
    })
}

/// README.md: a restore in place. What was written since is not in the backup, and is gone.
fn drop_table(stage: &Stage, backup: &str) -> Result<()> {
    write_article(stage, "Later", TEXT)?;
    page(stage, "Later", true)?;
    sql(stage, "drop table wiki.page")?;
    page(stage, "Guide", false)?;
    stage.say_expecting(0, &["restore", "run", backup, "--yes", "--backup", backup])?;
    page(stage, "Guide", true)?;
    page(stage, "Later", false)?;
    // The wiki can write, and not only be read.
    write_article(stage, "Afterwards", TEXT)?;
    page(stage, "Afterwards", true)
}

/// docs/FIRST-HOUR.md, "Restore one file": an upload is deleted. What was written since the backup stays where it is.
fn delete_file(stage: &Stage, backup: &str) -> Result<()> {
    let found = inside(stage, WEB, "cd /srv/wiki; find images -name Form.png -type f")?;
    let file = found.trim();
    let sum = || inside(stage, WEB, &format!("sha256sum < '/srv/wiki/{file}'"));
    let before = sum()?;
    inside(stage, WEB, &format!("rm '/srv/wiki/{file}'"))?;
    demand(sum().is_err(), || format!("{file} is still there"))?;
    stage.say_expecting(0, &["restore", "run", backup, "--files", &format!("wiki-files:/{file}"), "--yes", "--backup", backup])?;
    wait_rolled_out(stage.primary()?, READY, NAMESPACE, WEB)?;
    let after = sum()?;
    demand(after == before, || format!("{file}: {before} before, {after} after"))?;
    page(stage, "Afterwards", true)
}
