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
            Product::Mysql => Self::shell(
                "mysqldump --user=root --password=\"$MYSQL_ROOT_PASSWORD\" --single-transaction --all-databases",
                "mysql --user=root --password=\"$MYSQL_ROOT_PASSWORD\"",
            ),
            Product::Mariadb => Self::shell(
                "mariadb-dump --user=root --password=\"$MARIADB_ROOT_PASSWORD\" --single-transaction --all-databases",
                "mariadb --user=root --password=\"$MARIADB_ROOT_PASSWORD\"",
            ),
        };
        json!({"name": self.stream_name(), "workloadRef": self.reference(), "container": self.container.name, "dump": dump, "restore": restore})
    }

    /// The marker of an Application, where the database is one that is known well enough. Its time stands in a table of its own.
    pub fn marker(&self) -> Option<Value> {
        let (user, database) = self.postgres_names()?;
        let psql = |query: &str| {
            json!(["psql", format!("--username={user}"), format!("--dbname={database}"), "--quiet", "--tuples-only", "--no-align", "--command", query])
        };
        (self.product == Product::Postgres).then(|| {
            json!({
                "workloadRef": self.reference(),
                "container": self.container.name,
                "write": psql("create table if not exists p861_marker (at timestamptz not null); insert into p861_marker (at) values ('$(MARKER)')"),
                "read": psql("select to_char(max(at) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from p861_marker"),
            })
        })
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

    fn postgres(&self) -> (Vec<String>, Vec<String>) {
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

    fn shell(dump: &str, restore: &str) -> (Vec<String>, Vec<String>) {
        let run = |command: &str| vec!["sh".to_owned(), "-c".to_owned(), format!("exec {command}")];
        (run(dump), run(restore))
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
}
