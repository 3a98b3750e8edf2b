//! The grammar of ids, written and read: the two must say the same.

use super::{Part, StepKey, StepKeyError};
use std::{fmt, str::FromStr};

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preflight => f.write_str("preflight"),
            Self::Isolate => f.write_str("isolate"),
            Self::ProveIsolation => f.write_str("prove-isolation"),
            Self::Prepare => f.write_str("prepare"),
            Self::Hold => f.write_str("hold"),
            Self::Manual => f.write_str("manual"),
            Self::CleanUp => f.write_str("clean-up"),
            Self::Forget => f.write_str("forget"),
            Self::Prune => f.write_str("prune"),
            Self::Quiesce { application } => write!(f, "quiesce/{application}"),
            Self::Snapshot { application } => write!(f, "snapshot/{application}"),
            Self::RemoveSnapshots { application } => write!(f, "remove-snapshots/{application}"),
            Self::Resume { application } => write!(f, "resume/{application}"),
            Self::Save { application, part } => write!(f, "save/{application}/{part}"),
            Self::Seal { application } => write!(f, "seal/{application}"),
            Self::Verify { application } => write!(f, "verify/{application}"),
            Self::Restore { application, part } => write!(f, "restore/{application}/{part}"),
            Self::Compare { application, volume: None } => write!(f, "compare/{application}"),
            Self::Compare { application, volume: Some(volume) } => write!(f, "compare/{application}/volume/{volume}"),
            Self::Stop { application } => write!(f, "stop/{application}"),
            Self::Start { application, tier: Some(tier) } => write!(f, "start/{application}/tier/{tier}"),
            Self::Start { application, tier: None } => write!(f, "start/{application}/rest"),
            Self::Marker { application } => write!(f, "marker/{application}"),
            Self::Check { application, check } => write!(f, "check/{application}/{check}"),
            Self::Backup { application } => write!(f, "backup/{application}"),
            Self::Silence { site } => write!(f, "silence/{site}"),
            Self::EndSilence { site } => write!(f, "end-silence/{site}"),
            Self::Inspect { site, node } => write!(f, "inspect/{site}/{node}"),
            Self::Cordon { site, node } => write!(f, "cordon/{site}/{node}"),
            Self::Drain { site, node } => write!(f, "drain/{site}/{node}"),
            Self::Uncordon { site, node } => write!(f, "uncordon/{site}/{node}"),
            Self::Install { site, component } => write!(f, "install/{site}/{component}"),
            Self::Health { site, component, check } => write!(f, "health/{site}/{component}/{check}"),
            Self::Watch { site, component } => write!(f, "watch/{site}/{component}"),
            Self::EndInstall { site, component } => write!(f, "end-install/{site}/{component}"),
            Self::Extra { name } => f.write_str(name),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Objects => f.write_str("objects"),
            Self::ObjectsAgain => f.write_str("objects-again"),
            Self::Volume(claim) => write!(f, "volume/{claim}"),
            Self::Stream(stream) => write!(f, "stream/{stream}"),
        }
    }
}

fn part(words: &[&str]) -> Option<Part> {
    Some(match *words {
        ["objects"] => Part::Objects,
        ["volume", claim] => Part::Volume(claim.into()),
        ["stream", stream] => Part::Stream(stream.into()),
        _ => return None,
    })
}

impl FromStr for StepKey {
    type Err = StepKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = text.split('/').collect();
        let unknown = || StepKeyError { text: text.into() };
        if words.iter().any(|word| word.is_empty()) {
            return Err(unknown());
        }
        Ok(match *words {
            ["preflight"] => Self::Preflight,
            ["isolate"] => Self::Isolate,
            ["prove-isolation"] => Self::ProveIsolation,
            ["prepare"] => Self::Prepare,
            ["hold"] => Self::Hold,
            ["manual"] => Self::Manual,
            ["clean-up"] => Self::CleanUp,
            ["forget"] => Self::Forget,
            ["prune"] => Self::Prune,
            ["quiesce", application] => Self::quiesce(application),
            ["snapshot", application] => Self::snapshot(application),
            ["remove-snapshots", application] => Self::remove_snapshots(application),
            ["resume", application] => Self::resume(application),
            ["save", application, ref rest @ ..] => Self::Save { application: application.into(), part: part(rest).ok_or_else(unknown)? },
            ["seal", application] => Self::seal(application),
            ["verify", application] => Self::verify(application),
            ["restore", application, "objects-again"] => Self::restore_objects_again(application),
            ["restore", application, ref rest @ ..] => Self::Restore { application: application.into(), part: part(rest).ok_or_else(unknown)? },
            ["compare", application] => Self::compare(application),
            ["compare", application, "volume", volume] => Self::compare_volume(application, volume),
            ["stop", application] => Self::stop(application),
            ["start", application, "tier", tier] => Self::start_tier(application, tier),
            ["start", application, "rest"] => Self::start_rest(application),
            ["marker", application] => Self::marker(application),
            ["check", application, check] => Self::check(application, check),
            ["backup", application] => Self::backup(application),
            ["silence", site] => Self::silence(&site.into()),
            ["end-silence", site] => Self::end_silence(&site.into()),
            ["inspect", site, node] => Self::inspect(&site.into(), node),
            ["cordon", site, node] => Self::cordon(&site.into(), node),
            ["drain", site, node] => Self::drain(&site.into(), node),
            ["uncordon", site, node] => Self::uncordon(&site.into(), node),
            ["install", site, component] => Self::install(&site.into(), component),
            ["health", site, component, check] => Self::health(&site.into(), component, check),
            ["watch", site, component] => Self::watch(&site.into(), component),
            ["end-install", site, component] => Self::end_install(&site.into(), component),
            [name] => Self::extra(name),
            _ => return Err(unknown()),
        })
    }
}
