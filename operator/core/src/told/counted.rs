//! Numbers of things, with the right noun in each language.

/// What is counted in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    /// An alert that fires.
    Alert,
    /// An Application.
    Application,
    /// A Backup.
    Backup,
    /// A check.
    Check,
    /// A persistent volume claim.
    Claim,
    /// A CPU core.
    Core,
    /// A day of records.
    Day,
    /// A file.
    File,
    /// An item of a profile.
    Item,
    /// A kind of objects.
    Kind,
    /// A pod that moves data.
    Mover,
    /// A namespace.
    Namespace,
    /// A node.
    Node,
    /// An object.
    Object,
    /// A pod.
    Pod,
    /// A `BackupRepository`.
    Repository,
    /// A role of people.
    Role,
    /// A site.
    Site,
    /// A volume snapshot.
    Snapshot,
    /// A step of a run.
    Step,
    /// A stream of data.
    Stream,
    /// A volume.
    Volume,
    /// A workload.
    Workload,
}

impl Noun {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::Alert,
        Self::Application,
        Self::Backup,
        Self::Check,
        Self::Claim,
        Self::Core,
        Self::Day,
        Self::File,
        Self::Item,
        Self::Kind,
        Self::Mover,
        Self::Namespace,
        Self::Node,
        Self::Object,
        Self::Pod,
        Self::Repository,
        Self::Role,
        Self::Site,
        Self::Snapshot,
        Self::Step,
        Self::Stream,
        Self::Volume,
        Self::Workload,
    ];

    /// One of them, several of them, and the measure word and noun in Chinese.
    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Alert => ("alert", "alerts", "条告警"),
            Self::Application => ("application", "applications", "个应用"),
            Self::Backup => ("backup", "backups", "个备份"),
            Self::Check => ("check", "checks", "项检查"),
            Self::Claim => ("claim", "claims", "个存储卷声明"),
            Self::Core => ("core", "cores", "核"),
            Self::Day => ("day", "days", "天"),
            Self::File => ("file", "files", "个文件"),
            Self::Item => ("item", "items", "项"),
            Self::Kind => ("kind", "kinds", "种资源"),
            Self::Mover => ("mover", "movers", "个搬运任务"),
            Self::Namespace => ("namespace", "namespaces", "个命名空间"),
            Self::Node => ("node", "nodes", "个节点"),
            Self::Object => ("object", "objects", "个对象"),
            Self::Pod => ("pod", "pods", "个 Pod"),
            Self::Repository => ("repository", "repositories", "个备份库"),
            Self::Role => ("role", "roles", "个角色"),
            Self::Site => ("site", "sites", "个站点"),
            Self::Snapshot => ("snapshot", "snapshots", "个快照"),
            Self::Step => ("step", "steps", "个步骤"),
            Self::Stream => ("stream", "streams", "条数据流"),
            Self::Volume => ("volume", "volumes", "个卷"),
            Self::Workload => ("workload", "workloads", "个工作负载"),
        }
    }

    /// `1 node`, `2 nodes`.
    pub fn count(self, number: impl TryInto<i64>) -> String {
        let number = number.try_into().unwrap_or(i64::MAX);
        let (one, several, _) = self.words();
        format!("{number} {}", if number == 1 { one } else { several })
    }

    /// `1 node is`, `2 nodes are`.
    pub fn are(self, number: impl TryInto<i64>) -> String {
        let number = number.try_into().unwrap_or(i64::MAX);
        format!("{} {}", self.count(number), if number == 1 { "is" } else { "are" })
    }

    /// `1 node was`, `2 nodes were`.
    pub fn were(self, number: impl TryInto<i64>) -> String {
        let number = number.try_into().unwrap_or(i64::MAX);
        format!("{} {}", self.count(number), if number == 1 { "was" } else { "were" })
    }

    /// `2 个节点` for `2 nodes`, `1/2 个节点` for `1 of 2 nodes`, `1/2` for `1 of 2`; none if the text counts nothing of these.
    pub(super) fn in_chinese(text: &str) -> Option<String> {
        let text = [" is", " are", " was", " were"].iter().find_map(|verb| text.strip_suffix(verb)).unwrap_or(text);
        let (number, rest) = text.split_once(' ')?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !is_number(number) {
            return None;
        }
        if let Some(all) = rest.strip_prefix("of ") {
            let all = if is_number(all) { all.to_owned() } else { Self::in_chinese(all).filter(|told| !told.contains('/'))? };
            return Some(format!("{number}/{all}"));
        }
        let (_, _, chinese) = Self::ALL.iter().map(|known| known.words()).find(|(one, several, _)| [*one, *several].contains(&rest))?;
        Some(format!("{number} {chinese}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_h23_one_of_a_thing_is_not_several() {
        assert_eq!([0, 1, 2].map(|number| Noun::Node.count(number)), ["0 nodes", "1 node", "2 nodes"]);
        assert_eq!([1, 2].map(|number| Noun::Repository.count(number)), ["1 repository", "2 repositories"]);
        assert_eq!([Noun::Node.are(1), Noun::Node.are(2), Noun::Node.were(1)], ["1 node is", "2 nodes are", "1 node was"]);
        assert_eq!(Noun::Object.count(u64::MAX), format!("{} objects", i64::MAX), "a number that no status can hold");
    }

    #[test]
    fn a_number_of_things_is_told_in_chinese_one_or_several() {
        for noun in Noun::ALL {
            let chinese = noun.words().2;
            assert_eq!([1, 2].map(|number| Noun::in_chinese(&noun.count(number))), [1, 2].map(|number| Some(format!("{number} {chinese}"))), "{noun:?}");
        }
        assert_eq!(Noun::in_chinese("2.5 cores").as_deref(), Some("2.5 核"));
        assert_eq!(Noun::in_chinese("2 nodes are").as_deref(), Some("2 个节点"));
        assert_eq!([Noun::in_chinese("1 of 2 nodes").as_deref(), Noun::in_chinese("3 of 4").as_deref()], [Some("1/2 个节点"), Some("3/4")]);
        assert_eq!([Noun::in_chinese("web nodes"), Noun::in_chinese("2 swans")], [None, None]);
    }
}
