//! `p861 district …`

use super::{
    Context,
    list::print_list,
    page::{both_names, cell, listed, truth},
};
use crate::{
    args::DistrictCommand,
    error::Result,
    exit::ExitStatus,
    format::{Line, Table},
    printer::Output,
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_crds::{ConditionType, District, platform::district::SiteRole};

/// Runs the command.
pub async fn perform(context: &Context<'_>, command: &DistrictCommand) -> Result<ExitStatus> {
    let printer = context.printer;
    match command {
        DistrictCommand::List => {
            let districts = context.hub.list::<District>(None, "").await?;
            print_list(printer, &districts, &text::no_districts(), |districts| list(districts, printer.output == Output::Wide, printer.language))
        }
    }
}

/// The table of districts.
fn list(districts: &[District], wide: bool, language: Language) -> Vec<Line> {
    let mut heads = vec![text::DISTRICT, text::CODE, text::NAME, text::PRIMARY, text::STANDBY, text::PROFILE, text::READY];
    if wide {
        heads.extend([text::NAMESPACE, text::TIME_ZONE]);
    }
    let mut table = Table::new(language, &heads).spare(&[text::PROFILE, text::CODE, text::STANDBY, text::PRIMARY]);
    for district in districts {
        let name = district.name_any();
        let of = |role: SiteRole| listed(district.spec.sites.iter().filter(|site| site.role == role).map(|site| site.site_ref.name.as_str()), language);
        let conditions = district.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let mut row = vec![
            Line::of(&name),
            Line::of(&district.spec.code),
            Line::of(both_names(Some(&district.spec.names), &name, language)),
            cell(Some(of(SiteRole::Primary)).filter(|sites| !sites.is_empty())),
            cell(Some(of(SiteRole::Standby)).filter(|sites| !sites.is_empty())),
            cell(district.spec.profile_ref.as_ref().map(|profile| &profile.name)),
            truth(conditions, ConditionType::Ready, language),
        ];
        if wide {
            row.extend([Line::of(district.hub_namespace()), Line::of(&district.spec.time_zone)]);
        }
        table.row(row);
    }
    table.lines()
}
