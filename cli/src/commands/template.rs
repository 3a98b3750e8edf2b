//! `p861 template …`

use super::{
    Context,
    list::{print_list, print_object},
    needs::{self, Objects},
    page::{self, Facts, Reader, cell, truth},
};
use crate::{
    args::TemplateCommand,
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Line, Table, Tone},
    hub::{Listing, Read},
    printer::Output,
    text::{self, Bilingual, Language},
};
use kube::ResourceExt as _;
use p861_crds::{
    ChangeTemplate, ConditionType,
    maintenance::{
        change::{ChangeBackup, ChangeSilence},
        template::{TemplateBundle, TemplateNodes, TemplateWork},
    },
};

/// Runs the command.
pub async fn perform(context: &Context<'_>, command: &TemplateCommand) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    match command {
        TemplateCommand::List => {
            let templates = applying(context).await?;
            print_list(printer, &templates, &text::no_templates(&hub.namespace), |templates| {
                list(templates, printer.output == Output::Wide, printer.language, hub.place())
            })
        }
        TemplateCommand::Show(name) => {
            let read = named(context, &name.name).await?;
            print_object(printer, &read, |template| show(template, printer.language, hub.place()))?;
            Ok(needs::verdict(hub, &Objects { templates: vec![read.object], ..Objects::default() }))
        }
    }
}

/// The template that changes of the district follow by this name: its own, or else the city's.
pub async fn named(context: &Context<'_>, name: &str) -> Result<Read<ChangeTemplate>> {
    let hub = &context.hub;
    if let Some(own) = hub.find::<ChangeTemplate>(Some(&hub.namespace), name).await? {
        return Ok(own);
    }
    match hub.find::<ChangeTemplate>(Some(&hub.operator_namespace), name).await {
        Ok(Some(of_city)) => Ok(of_city),
        Ok(None) => hub.get_here(name).await,
        Err(failure) => Err(hidden(context, failure)?),
    }
}

/// All templates that apply to the district: its own, and those of the city whose names it has none of.
async fn applying(context: &Context<'_>) -> Result<Listing<ChangeTemplate>> {
    let hub = &context.hub;
    let mut all = hub.list_here::<ChangeTemplate>("").await?;
    if hub.namespace == hub.operator_namespace {
        return Ok(all);
    }
    let of_city = match hub.list::<ChangeTemplate>(Some(&hub.operator_namespace), "").await {
        Ok(of_city) => of_city,
        Err(failure) => {
            hidden(context, failure)?;
            return Ok(all);
        }
    };
    let unreadable = all.raw.split_off(all.items.len().min(all.raw.len()));
    for (template, raw) in of_city.items.into_iter().zip(of_city.raw) {
        if !all.items.iter().any(|own| own.name_any() == template.name_any()) {
            all.items.push(template);
            all.raw.push(raw);
        }
    }
    all.raw.extend(unreadable);
    all.unreadable.extend(of_city.unreadable);
    Ok(all)
}

/// Says that the city's templates may not be read, and gives the refusal back. Any other failure is one of the command.
fn hidden(context: &Context<'_>, failure: Failure) -> Result<Failure> {
    if failure.exit != ExitStatus::Refused {
        return Err(failure);
    }
    context.printer.warn(&text::city_templates_hidden(&context.hub.operator_namespace));
    Ok(failure)
}

fn joined<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// The work in one line.
fn work(work: &TemplateWork) -> Bilingual {
    match work {
        TemplateWork { upgrade_component: Some(upgrade), .. } => {
            let components = joined(upgrade.components.iter().map(|component| component.0.as_str()));
            text::template_upgrade(&components, &upgrade.versions.at_least, &upgrade.versions.below)
        }
        TemplateWork { drain_node: Some(drain), .. } => {
            let of = |language: Language| {
                let nodes = drain.nodes.iter().map(|nodes| nodes_of(nodes, language));
                text::template_drain(&nodes.collect::<Vec<_>>().join(text::LISTED.pick(language))).pick(language).to_owned()
            };
            Bilingual { zh: of(Language::Zh), en: of(Language::En) }
        }
        TemplateWork { upgrade_component: None, drain_node: None, manual: _ } => text::template_manual(),
    }
}

fn nodes_of(nodes: &TemplateNodes, language: Language) -> String {
    match &nodes.node_names {
        Some(names) => names.iter().map(|name| format!("{}/{name}", nodes.site_ref.name)).collect::<Vec<_>>().join(text::LISTED.pick(language)),
        None => text::any_node_of(&nodes.site_ref.name).pick(language).to_owned(),
    }
}

fn digest(template: &ChangeTemplate) -> Option<String> {
    let digest = template.status.as_ref()?.digest.as_ref()?;
    Some(digest.trim_start_matches("sha256:").chars().take(12).collect())
}

/// The table of templates.
fn list(templates: &[ChangeTemplate], wide: bool, language: Language, place: &str) -> Vec<Line> {
    let mut heads = vec![text::TEMPLATE, text::NAMESPACE, text::READY, text::WORK, text::PUBLISHER, text::TITLE];
    if wide {
        heads.extend([text::DIGEST, text::REASON]);
    }
    let mut table = Table::new(language, &heads).spare(&[text::PUBLISHER, text::NAMESPACE]);
    for template in templates {
        let conditions = template.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let mut row = vec![
            Line::of(template.name_any()),
            cell(template.namespace()),
            truth(conditions, ConditionType::Ready, language),
            Line::of(work(&template.spec.work).pick(language)),
            cell(template.spec.published_by.as_ref()),
            Line::of(template.spec.title.in_language(language.key())),
        ];
        if wide {
            let said = page::condition(conditions, ConditionType::Ready)
                .map(|condition| page::says(condition, &Reader { language, place, name: &template.name_any() }).0);
            row.extend([cell(digest(template)), cell(said)]);
        }
        table.row(row);
    }
    table.lines()
}

/// Where manifests may come from.
fn bundle(bundle: &TemplateBundle) -> String {
    let TemplateBundle { image, digest, config_map_ref } = bundle;
    let map = config_map_ref.as_ref().map(|map| format!("ConfigMap {}", map.name));
    image.clone().or_else(|| digest.clone()).or(map).unwrap_or_default()
}

/// The page of a template.
fn show(template: &ChangeTemplate, language: Language, place: &str) -> Vec<Line> {
    let (spec, status) = (&template.spec, template.status.clone().unwrap_or_default());
    let title = spec.title.in_language(language.key());
    let mut lines = vec![Line::toned(Tone::Strong, format!("{} {}", text::noun("template").pick(language), template.name_any())).with(format!(" · {title}"))];
    let limits = match &spec.work {
        TemplateWork { upgrade_component: Some(upgrade), .. } => Some(text::upgrade_limits(&upgrade.healthy_within.0, &upgrade.watch_for.0)),
        TemplateWork { drain_node: Some(drain), .. } => Some(text::drain_limits(&drain.deadline.0, drain.delete_empty_dir_data, drain.force)),
        TemplateWork { .. } => None,
    };
    let of_change = text::change_limits(spec.backup == ChangeBackup::Affected, spec.silence == ChangeSilence::Affected, spec.rollback.policy);
    let names = |references: &Option<Vec<p861_crds::ObjectReference>>| {
        references.as_ref().map(|references| joined(references.iter().map(|reference| reference.name.as_str()))).filter(|names| !names.is_empty())
    };
    let affected = [names(&spec.affects.application_refs), names(&spec.affects.site_refs)].into_iter().flatten().collect::<Vec<_>>().join("; ");
    let bundles = spec.work.upgrade_component.as_ref().map(|upgrade| upgrade.bundles.iter().map(bundle).collect::<Vec<_>>().join(", "));
    let facts = Facts::new(language)
        .with(text::F_WORK, work(&spec.work).pick(language))
        .maybe(text::F_LIMITS, limits.map(|limits| limits.pick(language).to_owned()))
        .with(text::F_LIMITS, of_change.pick(language))
        .maybe(text::F_BUNDLES, bundles)
        .maybe(text::F_AFFECTS, Some(affected).filter(|affected| !affected.is_empty()))
        .maybe(text::F_PLAN_OF_CHANGE, spec.plan.as_ref().map(|plan| plan.in_language(language.key())))
        .maybe(text::F_ROLLBACK, spec.rollback.plan.as_ref().map(|plan| plan.in_language(language.key())))
        .maybe(text::F_PUBLISHER, spec.published_by.as_ref())
        .maybe(text::F_DIGEST, digest(template));
    lines.extend(facts.lines());
    lines.extend(page::conditions(&status.conditions, &Reader { language, place, name: &template.name_any() }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_work_of_a_template_and_its_limits_are_said_in_both_languages() {
        for (stated, en, zh) in [
            (
                json!({"upgradeComponent": {"components": ["gateway"], "versions": {"atLeast": "1.6.0", "below": "1.7.0"}, "bundles": [{"image": "r/gateway"}]}}),
                "upgrade gateway from 1.6.0 to below 1.7.0",
                "升级 gateway，1.6.0 起、低于 1.7.0",
            ),
            (
                json!({"drainNode": {"nodes": [{"siteRef": {"name": "west"}, "nodeNames": ["w1", "w2"]}, {"siteRef": {"name": "edge"}}]}}),
                "drain west/w1, west/w2, any node of edge",
                "排空 west/w1、west/w2、edge 任一节点",
            ),
            (json!({"manual": {}}), "manual work", "人工作业"),
        ] {
            let template: ChangeTemplate = serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "ChangeTemplate",
                "metadata": {"name": "t", "namespace": "shinan"}, "spec": {"title": {"en": "T", "zh": "题"}, "work": stated, "plan": {"en": "so"}, "publishedBy": "leader"}}))
            .expect("a template");
            let said = work(&template.spec.work);
            assert_eq!((said.en.as_str(), said.zh.as_str()), (en, zh));
            for (language, words) in [(Language::En, ["backup required, silences permitted, rollback OnFailure", en]), (Language::Zh, ["须先备份", zh])] {
                let page = show(&template, language, "").iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
                assert!(words.iter().all(|word| page.contains(word)) && page.contains("leader"), "{page}");
            }
        }
    }
}
