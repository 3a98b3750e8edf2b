//! Finds English words in a Chinese text.

/// Nouns that a Chinese engineer writes in Latin letters.
const TERMS: &[&str] = &[
    "Alertmanager",
    "Helm",
    "Ingress",
    "Kubernetes",
    "Markdown",
    "Prometheus",
    "Webhook",
    "base64",
    "bearer",
    "chart",
    "finalizer",
    "init",
    "kubeconfig",
    "kubectl",
    "kubelet",
    "loopback",
    "operator",
    "resourcequota",
    "restic",
    "root",
    "scrypt",
    "shell",
    "webhook",
];

/// Kinds. Those of several words are known by their capitals.
const KINDS: &[&str] = &[
    "Application",
    "Approval",
    "Backup",
    "Deployment",
    "District",
    "Drill",
    "Gateway",
    "Job",
    "Lease",
    "Namespace",
    "Node",
    "Platform",
    "Pod",
    "Restore",
    "Role",
    "Secret",
    "Service",
    "Site",
];

/// Names of fields, files, protocols and formats, and values that are to be typed.
const TYPED: &[&str] = &[
    "Check",
    "Duplicate",
    "Files",
    "Isolated",
    "Live",
    "Merge",
    "None",
    "Normal",
    "Warning",
    "Plan",
    "Primary",
    "Refuse",
    "Replace",
    "Security",
    "Skip",
    "Standby",
    "Start",
    "Tls",
    "affects",
    "after",
    "alertname",
    "answer",
    "backup",
    "before",
    "change",
    "cluster",
    "condition",
    "config",
    "context",
    "cpu",
    "criticalities",
    "data",
    "deployments",
    "drill",
    "duration",
    "exec",
    "failover",
    "prune",
    "firing",
    "folder",
    "host",
    "html",
    "http",
    "https",
    "id",
    "impersonate",
    "json",
    "kind",
    "latest",
    "levels",
    "limits",
    "memory",
    "metadata",
    "method",
    "ms",
    "no",
    "normal",
    "null",
    "password",
    "path",
    "requests",
    "resolved",
    "restore",
    "salt",
    "security",
    "server",
    "silence",
    "smtp",
    "spec",
    "stderr",
    "stdout",
    "step",
    "tar",
    "tcp",
    "token",
    "type",
    "upgrade",
    "url",
    "user",
    "username",
    "verification",
    "view",
    "wide",
    "yes",
];

/// Units of quantities.
const UNITS: &[&str] = &["Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "KiB", "MiB", "GiB", "TiB", "PiB"];

/// The English words of a Chinese text: not names, paths, options, kinds, terms or commands, and not what stands in “quotation marks”, which other programs said.
pub fn english_words(text: &str) -> Vec<String> {
    let own = without(text, '“', '”');
    let own = without(&own, '`', '`');
    let mut words = Vec::new();
    for run in own.split(|character: char| !character.is_ascii() || character == '│') {
        // A command goes on to the next Chinese character.
        let ours = ["p861 ", "kubectl ", "restic "].iter().filter_map(|command| run.find(command)).min().map_or(run, |at| &run[..at]);
        words.extend(ours.split_whitespace().filter_map(english));
    }
    words
}

/// Whether a stop as in English stands beside Chinese. A name in brackets, and what stands in “quotation marks”, have their own.
pub fn has_english_stops(text: &str) -> bool {
    let is_chinese = |character: char| ('\u{4e00}'..='\u{9fff}').contains(&character);
    let text = without(text, '“', '”');
    let beside = |mark: &str| {
        text.match_indices(mark)
            .any(|(at, _)| text[..at].chars().next_back().is_some_and(is_chinese) || text[at + mark.len()..].chars().next().is_some_and(is_chinese))
    };
    // Two blanks are a gap between columns or choices.
    let before_a_blank = |mark: char| text.split(mark).skip(1).any(|after| after.starts_with(' ') && !after.starts_with("  "));
    [", ", ": ", "; ", " (", ") "].iter().any(|mark| beside(mark)) || ['。', '，', '；', '：'].into_iter().any(before_a_blank)
}

fn english(token: &str) -> Option<String> {
    let word = token.trim_matches(|character: char| !character.is_ascii_alphanumeric());
    let is_word = word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_alphabetic());
    // An option, a variable, a path, a placeholder of a usage line.
    let is_name = token.trim_start_matches(['(', '"', '\'', '[', '<']).starts_with(['-', '$', '.', '*']) || token.contains('/');
    let capitals = word.bytes().filter(u8::is_ascii_uppercase).count();
    // An abbreviation, or a kind or field of several words.
    let is_compound = capitals > 1 || (capitals == 1 && word.starts_with(|first: char| first.is_ascii_lowercase()));
    let is_known = [TERMS, KINDS, TYPED, UNITS].iter().any(|list| list.contains(&word));
    (is_word && !is_name && !is_compound && !is_known).then(|| word.to_owned())
}

/// The text without what stands between two marks.
fn without(text: &str, open: char, close: char) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(open) {
        kept.push_str(before);
        let Some((_, after)) = after.split_once(close) else { return kept };
        rest = after;
    }
    kept + rest
}
