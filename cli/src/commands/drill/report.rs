//! `p861 drill report`

use super::super::{Context, list::show_run};
use crate::{
    error::{Failure, Result},
    exit::ExitStatus,
    hub::Run as _,
    printer::Output,
    text,
};
use p861_crds::Drill;
use sha2::{Digest as _, Sha256};

/// The ConfigMap that holds a drill's report.
pub fn config_map(drill: &str) -> String {
    format!("{drill}-report")
}

/// Key of the report as data.
pub const JSON: &str = "report.json";
/// Key of the report as a page.
pub const HTML: &str = "report.html";

/// Writes the report to stdout.
pub async fn report(context: &Context<'_>, name: &str) -> Result<ExitStatus> {
    let key = match context.printer.output {
        Output::Html => HTML,
        Output::Json => JSON,
        Output::Table | Output::Wide => return show_run::<Drill>(context, name).await,
        Output::Yaml | Output::Name => return Err(Failure::usage(text::report_forms())),
    };
    let drill = context.hub.get_here::<Drill>(name).await?.object;
    let map = context.hub.config_map(&config_map(name)).await?;
    let missing = || {
        Failure::refused(if drill.phase().is_end() { text::report_missing(name, &config_map(name)) } else { text::report_not_yet(name, context.hub.place()) })
    };
    let map = map.ok_or_else(missing)?;
    let json = map.get(JSON).ok_or_else(missing)?;
    let stated = drill.status.as_ref().and_then(|status| status.report.as_ref()).map(|report| report.digest.as_str()).filter(|digest| !digest.is_empty());
    if let Some(stated) = stated {
        let found = digest(json);
        if found != stated {
            return Err(Failure::refused(text::report_changed(name, stated, &found)));
        }
    }
    let text = map.get(key).ok_or_else(missing)?;
    context.printer.raw(text);
    if !text.ends_with('\n') {
        context.printer.raw("\n");
    }
    Ok(ExitStatus::Good)
}

/// As the Drill's status states it.
fn digest(json: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(json.as_bytes())))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_digest_is_written_as_the_status_writes_it() {
        assert_eq!(super::digest(""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
