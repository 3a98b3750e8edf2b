//! Databases known by their images, with their dump and restore commands.

use super::Workload;
use k8s_openapi::api::core::v1::Container;
use serde_json::{Value, json};

/// A database that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Product {
    Postgres,
    Mysql,
    Mariadb,
}

/// Two commands: to dump and to restore, or to write and to read.
type Commands = (Vec<String>, Vec<String>);

/// Routines and events are dumped only if they are asked for, and without the last option the users that a dump brings can log in only after the server's next start.
const DUMP_OPTIONS: &str = "--user=root --single-transaction --all-databases --routines --events --flush-privileges --max-allowed-packet=1G";
/// A client takes rows of 16 MiB unless it is told that the server takes more.
const CLIENT_OPTIONS: &str = "--user=root --max-allowed-packet=1G";

/// A container that holds a database.
#[derive(Clone, Debug)]
pub struct Database<'a> {
    product: Product,
    container: &'a Container,
    workload: &'a Workload,
}

impl Product {
    fn of(container: &Container) -> Option<Self> {
        let image = container.image.as_deref().unwrap_or_default().to_ascii_lowercase();
        let name = image.rsplit('/').next().and_then(|last| last.split([':', '@']).next()).unwrap_or_default();
        // Exporters and clients are named after the database too; who declares ports and not the database's is none.
        let ports: Vec<i32> = container.ports.iter().flatten().map(|port| port.container_port).collect();
        [("postgres", 5432, Self::Postgres), ("mariadb", 3306, Self::Mariadb), ("mysql", 3306, Self::Mysql)]
            .into_iter()
            .find(|(word, port, _)| name.contains(word) && !name.contains("exporter") && (ports.is_empty() || ports.contains(port)))
            .map(|(_, _, product)| product)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Mysql => "MySQL",
            Self::Mariadb => "MariaDB",
        }
    }
}

/// The database of a workload, if it is one.
pub fn database(workload: &Workload) -> Option<Database<'_>> {
    let containers = &workload.template.spec.as_ref()?.containers;
    containers.iter().find_map(|container| Some(Database { product: Product::of(container)?, container, workload }))
}

impl Database<'_> {
    /// `PostgreSQL 16`.
    pub fn title(&self) -> String {
        let tag = self.container.image.as_deref().and_then(|image| image.rsplit('/').next()?.split('@').next()?.split(':').nth(1));
        let version = tag.map(|tag| tag.chars().take_while(char::is_ascii_digit).collect::<String>()).filter(|version| !version.is_empty());
        version.map_or_else(|| self.product.name().to_owned(), |version| format!("{} {version}", self.product.name()))
    }

    /// The stream's name.
    pub fn stream_name(&self) -> String {
        format!("{}-db", super::draft::short(&self.workload.name, 37))
    }

    /// The workload that holds it.
    pub fn workload(&self) -> &Workload {
        self.workload
    }

    /// The stream of an Application.
    pub fn stream(&self) -> Value {
        let (dump, restore) = match self.product {
            Product::Postgres => self.postgres(),
            // Without GTID_PURGED: a server that has transactions of its own takes none.
            Product::Mysql => self.of_root(&format!("mysqldump {DUMP_OPTIONS} --set-gtid-purged=OFF"), &format!("mysql {CLIENT_OPTIONS}")),
            Product::Mariadb => self.of_root(&format!("mariadb-dump {DUMP_OPTIONS}"), &format!("mariadb {CLIENT_OPTIONS}")),
        };
        json!({"name": self.stream_name(), "workloadRef": self.reference(), "container": self.container.name, "dump": dump, "restore": restore})
    }

    /// The marker of an Application, where the database is one that is known well enough. Its time stands in a table of its own.
    pub fn marker(&self) -> Option<Value> {
        let (write, read) = match self.product {
            Product::Postgres => self.postgres_marker()?,
            Product::Mysql => self.mysql_marker("mysql"),
            Product::Mariadb => self.mysql_marker("mariadb"),
        };
        Some(json!({"workloadRef": self.reference(), "container": self.container.name, "write": write, "read": read}))
    }

    fn reference(&self) -> Value {
        json!({"kind": self.workload.kind, "name": self.workload.name})
    }

    /// User and database, if they are written down; none if a Secret has them.
    fn postgres_names(&self) -> Option<(String, String)> {
        let of = |name: &str, otherwise: &str| match self.container.env.iter().flatten().find(|variable| variable.name == name) {
            Some(variable) => variable.value.clone(),
            None => Some(otherwise.to_owned()),
        };
        let user = of("POSTGRES_USER", "postgres")?;
        let database = of("POSTGRES_DB", &user)?;
        Some((user, database))
    }

    fn postgres_marker(&self) -> Option<Commands> {
        let (user, database) = self.postgres_names()?;
        let psql = |query: &str| {
            let words: [&str; 8] =
                ["psql", &format!("--username={user}"), &format!("--dbname={database}"), "--quiet", "--tuples-only", "--no-align", "--command", query];
            words.map(str::to_owned).to_vec()
        };
        Some((
            psql("create table if not exists p861_marker (at timestamptz not null); insert into p861_marker (at) values ('$(MARKER)')"),
            psql("select to_char(max(at) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from p861_marker"),
        ))
    }

    /// In a database of its own: which of the others is the application's, nobody has said. Its one row is replaced each time.
    fn mysql_marker(&self, client: &str) -> Commands {
        let statement = |sql: &str| format!("{client} --user=root --batch --skip-column-names --execute=\"{sql}\"");
        self.of_root(
            &statement(
                "create database if not exists p861; create table if not exists p861.marker (id int primary key, at varchar(40) not null); \
                 replace into p861.marker values (1, '$(MARKER)')",
            ),
            &statement("select at from p861.marker"),
        )
    }

    fn postgres(&self) -> Commands {
        match self.postgres_names() {
            Some((user, database)) => (
                vec!["pg_dump".into(), format!("--username={user}"), "--format=custom".into(), database.clone()],
                vec![
                    "pg_restore".into(),
                    format!("--username={user}"),
                    format!("--dbname={database}"),
                    "--clean".into(),
                    "--if-exists".into(),
                    "--exit-on-error".into(),
                ],
            ),
            // The container knows what only a Secret says.
            None => Self::shell(
                "pg_dump --username=\"${POSTGRES_USER:-postgres}\" --format=custom \"${POSTGRES_DB:-${POSTGRES_USER:-postgres}}\"",
                "pg_restore --username=\"${POSTGRES_USER:-postgres}\" --dbname=\"${POSTGRES_DB:-${POSTGRES_USER:-postgres}}\" --clean --if-exists --exit-on-error",
            ),
        }
    }

    fn shell(first: &str, second: &str) -> Commands {
        let run = |command: &str| vec!["sh".to_owned(), "-c".to_owned(), format!("exec {command}")];
        (run(first), run(second))
    }

    /// Two commands with the password of MySQL's root in their environment: on a command line every process of the container could read it.
    fn of_root(&self, first: &str, second: &str) -> Commands {
        let password = self.root_password();
        let run = |command: &str| vec!["sh".to_owned(), "-c".to_owned(), format!("export MYSQL_PWD=\"{password}\"; exec {command}")];
        (run(first), run(second))
    }

    /// Where the container has the password of root, as its shell reads it: under the name that the image takes and the workload gives, which may be a file.
    fn root_password(&self) -> String {
        let names: &[&str] = match self.product {
            Product::Mysql => &["MYSQL_ROOT_PASSWORD"],
            Product::Mariadb | Product::Postgres => &["MARIADB_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD"],
        };
        let given = |name: &str| self.container.env.iter().flatten().any(|variable| variable.name == name);
        let of = |name: &&str| match (given(name), given(&format!("{name}_FILE"))) {
            (true, _) => Some(format!("${name}")),
            (_, true) => Some(format!("$(cat \"${name}_FILE\")")),
            _ => None,
        };
        // A Secret or ConfigMap that gives all of its keys may give either.
        let otherwise =
            || names.iter().rev().fold(String::new(), |rest, name| if rest.is_empty() { format!("${name}") } else { format!("${{{name}:-{rest}}}") });
        names.iter().find_map(of).unwrap_or_else(otherwise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(container: Value) -> Workload {
        let template = serde_json::from_value(json!({"spec": {"containers": [container]}})).expect("a template");
        super::super::workload("StatefulSet", "db".into(), template, Vec::new())
    }

    #[test]
    fn a_database_is_known_by_its_image_and_nothing_else_is_one() {
        for (image, ports, expected) in [
            ("postgres:16.4-bookworm", json!([]), Some("PostgreSQL 16")),
            ("registry.example:5000/team/p861-postgres@sha256:ab", json!([{"containerPort": 5432}]), Some("PostgreSQL")),
            ("mariadb:11", json!([{"containerPort": 3306}]), Some("MariaDB 11")),
            ("mysql/mysql-server:8.0", json!([]), Some("MySQL 8")),
            ("postgres-exporter:1", json!([]), None),
            ("postgres-client:1", json!([{"containerPort": 8080}]), None),
            ("nginx:1", json!([]), None),
        ] {
            let workload = workload(json!({"name": "c", "image": image, "ports": ports}));
            assert_eq!(database(&workload).map(|database| database.title()).as_deref(), expected, "{image}");
        }
    }

    #[test]
    fn names_that_only_a_secret_knows_are_left_to_the_container() {
        let secret = json!({"name": "POSTGRES_USER", "valueFrom": {"secretKeyRef": {"name": "s", "key": "user"}}});
        let workload = workload(json!({"name": "c", "image": "postgres", "env": [secret]}));
        let database = database(&workload).expect("a database");
        assert_eq!(database.stream()["dump"][0], "sh");
        assert_eq!(database.marker(), None);
    }

    /// An environment that gives these names.
    fn given(names: &[&str]) -> Value {
        json!(names.iter().map(|name| json!({"name": name, "value": "x"})).collect::<Vec<_>>())
    }

    #[test]
    fn the_password_of_root_is_taken_from_where_the_container_has_it_and_stands_on_no_command_line() {
        for (image, env, password) in [
            ("mariadb:11", given(&["MARIADB_ROOT_PASSWORD"]), "$MARIADB_ROOT_PASSWORD"),
            ("mariadb:10.6", given(&["MYSQL_ROOT_PASSWORD"]), "$MYSQL_ROOT_PASSWORD"),
            ("bitnami/mariadb:11", given(&["MARIADB_ROOT_PASSWORD_FILE"]), "$(cat \"$MARIADB_ROOT_PASSWORD_FILE\")"),
            ("mariadb:11", json!([]), "${MARIADB_ROOT_PASSWORD:-$MYSQL_ROOT_PASSWORD}"),
            ("mysql:8.4", given(&["MYSQL_ROOT_PASSWORD"]), "$MYSQL_ROOT_PASSWORD"),
            ("mysql:8.4", given(&["MYSQL_ROOT_PASSWORD_FILE"]), "$(cat \"$MYSQL_ROOT_PASSWORD_FILE\")"),
            ("mysql:8.4", json!([]), "$MYSQL_ROOT_PASSWORD"),
        ] {
            let workload = workload(json!({"name": "c", "image": image, "env": env}));
            let database = database(&workload).expect("a database");
            let (stream, marker) = (database.stream(), database.marker().expect("a marker"));
            for command in [&stream["dump"], &stream["restore"], &marker["write"], &marker["read"]] {
                let line = command[2].as_str().unwrap_or_default();
                assert!(line.starts_with(&format!("export MYSQL_PWD=\"{password}\"; exec ")), "{image}: {command}");
                assert!(!line.contains("--password"), "{image}: {command}");
            }
        }
    }

    /// What a dump leaves out is lost, and what a restored server doesn't read is not back.
    #[test]
    fn a_dump_has_routines_events_and_users_who_can_log_in_at_once() {
        for image in ["mariadb:11", "mysql:8.4"] {
            let workload = workload(json!({"name": "c", "image": image}));
            let dump = database(&workload).expect("a database").stream()["dump"][2].to_string();
            for option in ["--single-transaction", "--all-databases", "--routines", "--events", "--flush-privileges"] {
                assert!(dump.contains(option), "{image}: {dump} has no {option}");
            }
            // MariaDB's program doesn't know this option and would refuse to run.
            assert_eq!(dump.contains("--set-gtid-purged=OFF"), image.starts_with("mysql"), "{image}: {dump}");
        }
    }

    #[test]
    fn a_marker_of_mysql_replaces_its_row_and_is_read_as_it_was_written() {
        let workload = workload(json!({"name": "db", "image": "mariadb", "env": given(&["MARIADB_ROOT_PASSWORD"])}));
        let marker = database(&workload).expect("a database").marker().expect("a marker");
        assert_eq!(
            marker["write"][2],
            "export MYSQL_PWD=\"$MARIADB_ROOT_PASSWORD\"; exec mariadb --user=root --batch --skip-column-names --execute=\"create database if not exists p861; \
             create table if not exists p861.marker (id int primary key, at varchar(40) not null); replace into p861.marker values (1, '$(MARKER)')\""
        );
        assert_eq!(
            marker["read"][2],
            "export MYSQL_PWD=\"$MARIADB_ROOT_PASSWORD\"; exec mariadb --user=root --batch --skip-column-names --execute=\"select at from p861.marker\""
        );
    }
}
