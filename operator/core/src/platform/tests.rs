//! Stories: what is declared, what is seen, what is said.

mod desired;

use super::{
    facts::{
        Amounts, ApplicationFacts, CertificateFacts, ComponentFacts, Facts, GatewayFacts, NodeFacts, ProbeFacts, QuotaFacts, RepositoryFacts, Sight, SiteFacts,
        Unseen,
    },
    forecast::{self, Sample},
    judge::{Judgement, judge},
    supply::{Supply, supplies},
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use p861_crds::{
    Platform, PlatformProfile, PlatformSpec, Reason,
    platform::{
        district::SiteRole,
        profile::{DemandResource, Layer},
        status::State,
    },
};

const TI: i64 = 1 << 40;
const GI: i64 = 1 << 30;

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))).expect("a file")
}

fn declared() -> PlatformSpec {
    let platform: Platform = serde_saphyr::from_str(&read("tests/examples/platform/accepted-everything.yaml")).expect("a Platform");
    platform.spec
}

fn profile() -> p861_crds::PlatformProfileSpec {
    let profile: PlatformProfile = serde_saphyr::from_str(&read("charts/p861/files/profiles/861-2008.yaml")).expect("a profile");
    profile.spec
}

fn now() -> Timestamp {
    "2026-11-24T00:00:00Z".parse().expect("a time")
}

fn zone() -> TimeZone {
    TimeZone::get("Asia/Shanghai").expect("a zone")
}

/// A site on which everything is as declared.
fn sight(site: &str) -> Sight {
    let (count, classes) = if site == "xinxi-dasha" { (18, ["ceph-rbd", "cephfs"]) } else { (9, ["topolvm", "nfs"]) };
    let node = NodeFacts {
        labels: [("platform861.io/pool".to_owned(), "general".to_owned())].into(),
        usable: true,
        allocatable: Amounts { cpu: 24_000, memory: 96 * GI, pods: 110 },
        requested: Amounts { cpu: 4_000, memory: 12 * GI, pods: 20 },
    };
    Sight {
        nodes: vec![node; count],
        storage_classes: classes.map(str::to_owned).into(),
        snapshot_classes: Some(["ceph-rbd".to_owned(), "topolvm".to_owned()].into()),
        claims: [(classes[0].to_owned(), 3 * TI)].into(),
        gateways: [("gateways/extranet".to_owned(), GatewayFacts { programmed: true, message: String::new() })].into(),
        probes: [("primary-to-standby".to_owned(), ProbeFacts::Connected { millis: 3 })].into(),
        certificates: vec![CertificateFacts { name: "the API server".into(), expires: Ok(now() + SignedDuration::from_hours(24 * 200)) }],
        components: [("envoy-gateway", "1.6.1"), ("cloudnative-pg", "1.28.1")]
            .map(|(name, installed)| (name.to_owned(), ComponentFacts { installed: installed.into(), ..ComponentFacts::default() }))
            .into(),
        ..Sight::default()
    }
}

fn facts() -> Facts {
    let site = |name: &str, role| SiteFacts { name: name.into(), role, sight: Ok(sight(name)) };
    let application = |name: &str, item: &str| ApplicationFacts { name: name.into(), profile_item: Some(item.into()), ready: true, failing: false };
    Facts {
        sites: vec![site("xinxi-dasha", SiteRole::Primary), site("laoshan-dr", SiteRole::Standby)],
        repositories: vec![RepositoryFacts { name: "shinan".into(), exists: true, ready: true, capacity: Some(20 * TI), used: Some(9 * TI) }],
        applications: vec![application("portal", "portal"), application("approval", "workflow")],
    }
}

fn seen(facts: &mut Facts, site: usize) -> &mut Sight {
    facts.sites[site].sight.as_mut().expect("a site that is seen")
}

fn judged(spec: &PlatformSpec, facts: &Facts) -> Judgement {
    judge(spec, Some(&profile()), facts, &[], &zone(), now())
}

fn gaps(judgement: &Judgement, layer: Layer) -> Vec<String> {
    let status = judgement.layers.iter().find(|status| status.layer == layer).expect("the layer");
    status.gaps.iter().map(|gap| format!("{} {} {}: {} -> {}", status.state, gap.site.as_deref().unwrap_or("-"), gap.reason, gap.message, gap.remedy)).collect()
}

fn condition(judgement: &Judgement, kind: &str) -> String {
    let update = judgement.updates.iter().find(|update| update.kind == kind).expect("the condition");
    format!("{:?} {}: {}", update.status, update.reason, update.message)
}

#[test]
fn a_platform_as_declared_is_ready_and_says_what_it_supports() {
    let judgement = judged(&declared(), &facts());
    for layer in Layer::ALL {
        assert_eq!(gaps(&judgement, layer), [""; 0], "{layer}");
    }
    assert_eq!(condition(&judgement, "Ready"), "Some(true) AsDeclared: every layer is as declared");
    assert_eq!(condition(&judgement, "StorageReady"), "Some(true) AsDeclared: 2 of 2 sites");
    let supportable: Vec<_> = judgement.layers.iter().map(|layer| layer.supportable).collect();
    // 1G/16M; 9 nodes of 24 cores less a fifth, 4 each; 15 of 20Ti, 900Gi each.
    assert_eq!(supportable, [Some(62), Some(43), Some(17), None, None]);
    assert_eq!((judgement.balance.supportable, judgement.balance.running, judgement.balance.shortest_layer), (Some(17), 2, Some(Layer::Storage)));
    assert_eq!(judgement.balance.excess_layers, [Layer::Network]);
    assert_eq!(
        condition(&judgement, "Balanced"),
        "Some(false) Excess: Storage supports 17 applications, Network 62; strengthen Storage first: p861 platform gaps"
    );
}

#[test]
fn a_repository_in_its_reserve_is_a_weak_plank_and_says_how_much_to_add() {
    let mut facts = facts();
    facts.repositories[0].used = Some(TI * 153 / 10);
    let judgement = judged(&declared(), &facts);
    assert_eq!(
        gaps(&judgement, Layer::Storage),
        ["Weak - ReserveUsed: repository shinan: 15 TiB of 20 TiB used, reserve 25% -> add 410 GiB, or shorten retention"]
    );
    assert_eq!(condition(&judgement, "Ready"), "Some(false) LayerWeak: Storage is weak: p861 platform gaps");
    assert_eq!(condition(&judgement, "Balanced"), "Some(false) ShortPlank: Storage supports 17 applications, Network 62: p861 platform gaps");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn every_way_to_fall_short_is_said_with_its_site_and_its_remedy() {
    type Break = fn(&mut Facts);
    let table: [(Layer, Break, &str); 15] = [
        (
            Layer::Network,
            |f| seen(f, 1).gateways.clear(),
            "Missing laoshan-dr GatewayMissing: gateway extranet is to be Gateway gateways/extranet, which doesn't exist",
        ),
        (
            Layer::Network,
            |f| seen(f, 0).gateways.values_mut().for_each(|g| g.programmed = false),
            "Weak xinxi-dasha GatewayNotReady: Gateway gateways/extranet is not in force",
        ),
        (
            Layer::Network,
            |f| drop(seen(f, 0).probes.insert("primary-to-standby".into(), ProbeFacts::Failed { message: "connection refused".into() })),
            "Weak xinxi-dasha ProbeFailed: probe primary-to-standby: s3.laoshan.qingdao.example:443 is not reached: connection refused",
        ),
        (
            Layer::Network,
            |f| drop(seen(f, 0).probes.insert("primary-to-standby".into(), ProbeFacts::Connected { millis: 21 })),
            "Weak xinxi-dasha ProbeFailed: probe primary-to-standby: reaching s3.laoshan.qingdao.example:443 takes longer than 20ms",
        ),
        (
            Layer::Network,
            |f| drop(seen(f, 0).probes.insert("primary-to-standby".into(), ProbeFacts::Unmeasured { message: "no prober is ready".into() })),
            "Weak xinxi-dasha ProbeUnmeasured: probe primary-to-standby: s3.laoshan.qingdao.example:443: no prober is ready -> see what keeps it",
        ),
        (Layer::Servers, |f| seen(f, 1).nodes.truncate(4), "Weak laoshan-dr NodesMissing: pool general: 4 nodes ready, 6 wanted -> bring 2 nodes back"),
        (
            Layer::Servers,
            |f| seen(f, 1).nodes.iter_mut().for_each(|n| n.usable = false),
            "Missing laoshan-dr NodesMissing: pool general: 0 nodes ready, 6 wanted",
        ),
        (
            Layer::Servers,
            |f| seen(f, 1).nodes.iter_mut().for_each(|n| n.requested.cpu = 20_000),
            "Weak laoshan-dr ReserveUsed: cpu: 180 cores of 216 cores used, reserve 20% -> add 9 cores",
        ),
        (
            Layer::Servers,
            |f| {
                seen(f, 0).quotas.push(QuotaFacts {
                    layer: Layer::Servers,
                    department: "approval-bureau".into(),
                    resource: "pods".into(),
                    granted: "200".into(),
                    used: "207".into(),
                    exceeded: true,
                });
            },
            "Weak xinxi-dasha QuotaExceeded: department approval-bureau uses 207 pods, granted 200",
        ),
        (
            Layer::Storage,
            |f| seen(f, 1).storage_classes.retain(|class| class != "nfs"),
            "Missing laoshan-dr ClassMissing: class files is to be StorageClass nfs",
        ),
        (Layer::Storage, |f| seen(f, 1).snapshot_classes = None, "Weak laoshan-dr ClassMissing: class block is to be saved by VolumeSnapshotClass topolvm"),
        (Layer::Storage, |f| f.repositories.clear(), "Missing - NotFound: repository shinan doesn't exist"),
        (
            Layer::Security,
            |f| seen(f, 1).certificates[0].expires = Ok(now() + SignedDuration::from_hours(24 * 29)),
            "Weak laoshan-dr CertificateExpiring: certificate of the API server expires on 2026-12-23",
        ),
        (Layer::Security, |f| seen(f, 1).certificates[0].expires = Ok(now()), "Missing laoshan-dr CertificateExpired"),
        (
            Layer::BaseSoftware,
            |f| drop(seen(f, 1).components.remove("cloudnative-pg")),
            "Missing laoshan-dr ComponentMissing: cloudnative-pg is not installed, 1.28.1 declared -> create HelmRelease flux-system/cloudnative-pg on laoshan-dr",
        ),
    ];
    for (layer, break_it, expected) in table {
        let mut facts = facts();
        break_it(&mut facts);
        let judgement = judged(&declared(), &facts);
        let said = gaps(&judgement, layer);
        assert!(said.first().is_some_and(|said| said.starts_with(expected)), "{expected}\nis not in {said:?}");
        for other in Layer::ALL.into_iter().filter(|other| *other != layer) {
            assert_eq!(gaps(&judgement, other), [""; 0], "{expected} says something of {other}");
        }
        assert!(condition(&judgement, "Ready").starts_with("Some(false)"));
    }
}

#[test]
fn a_probe_that_begins_on_a_site_of_nobodys_is_said() {
    let mut declared = declared();
    declared.network.probes[0].from_site_ref.name = "laixi".into();
    let said = gaps(&judged(&declared, &facts()), Layer::Network);
    assert_eq!(
        said,
        [
            "Weak - SiteMissing: probe primary-to-standby begins on site laixi, which is not of the district -> let network.probes[].fromSiteRef name one of xinxi-dasha, laoshan-dr"
        ]
    );
}

#[test]
fn a_raised_version_needs_a_ticket_and_is_said_once_for_all_sites() {
    let mut facts = facts();
    for site in 0..2 {
        seen(&mut facts, site).components.get_mut("envoy-gateway").expect("a component").installed = "1.6.0".into();
    }
    let judgement = judged(&declared(), &facts);
    assert_eq!(
        gaps(&judgement, Layer::BaseSoftware),
        ["Weak - UpgradeNeedsTicket: envoy-gateway: 1.6.0 installed, 1.6.1 declared -> p861 ticket open upgrade envoy-gateway"]
    );
    assert_eq!(judgement.components[0].sites.iter().map(|at| at.installed.as_deref()).collect::<Vec<_>>(), [Some("1.6.0"), Some("1.6.0")]);
    seen(&mut facts, 1).components.get_mut("envoy-gateway").expect("a component").installed = "1.6.1".into();
    let said = gaps(&judged(&declared(), &facts), Layer::BaseSoftware);
    assert!(said.iter().any(|said| said.contains("VersionsDiffer: envoy-gateway: 1.6.1 on laoshan-dr, 1.6.0 on xinxi-dasha")), "{said:?}");
}

#[test]
fn a_site_that_cannot_be_seen_makes_nothing_of_it_known() {
    let mut facts = facts();
    facts.sites[1].sight = Err(Unseen { reason: Reason::Unreachable, message: "the API server of laoshan-dr doesn't answer".into() });
    let judgement = judged(&declared(), &facts);
    for layer in Layer::ALL {
        assert_eq!(
            gaps(&judgement, layer),
            ["Weak laoshan-dr Unreachable: the API server of laoshan-dr doesn't answer -> p861 site show laoshan-dr"],
            "{layer}"
        );
    }
    assert_eq!(judgement.layers[1].supportable, None);
    assert_eq!(judgement.balance.supportable, None);
    assert!(condition(&judgement, "Balanced").starts_with("None NotCounted"));
}

#[test]
fn items_lack_until_an_application_provides_them_and_provisional_ones_are_left_out() {
    let mut facts = facts();
    facts.applications[1].failing = true;
    let judgement = judged(&declared(), &facts);
    let item = |key: &str| judgement.items.iter().find(|item| item.key == key).expect("the item").clone();
    assert_eq!((item("network").state, item("portal").state, item("portal").provided_by), (State::Ready, State::Ready, vec!["portal".to_owned()]));
    assert_eq!((item("workflow").state, item("workflow").reason.as_ref().map_or("", Reason::as_str)), (State::Weak, "ApplicationNotReady"));
    assert_eq!(item("knowledge").message.as_deref(), Some("no Application declares profileItem knowledge"));
    assert_eq!((item("centre-3").state, item("centre-3").reason.as_ref().map(Reason::as_str)), (State::NotAssessed, Some("Provisional")));
}

#[test]
fn without_a_profile_nothing_is_counted_and_that_is_said() {
    let judgement = judge(&declared(), None, &facts(), &[], &zone(), now());
    assert_eq!(judgement.balance.supportable, None);
    assert!(condition(&judgement, "Balanced").starts_with("None ProfileMissing"));
    assert!(condition(&judgement, "Ready").starts_with("Some(true)"));
}

fn days(count: i64, used: impl Fn(i64) -> i64) -> Vec<Sample> {
    let facts = facts();
    let demand = profile().standard_application;
    (0..count)
        .map(|day| {
            let mut supplies = supplies(&declared(), &facts, 2, &demand);
            supplies.iter_mut().filter(|supply| supply.resource == DemandResource::Repository).for_each(|supply| supply.used = Some(used(day)));
            forecast::sample(&supplies, 2, now() - SignedDuration::from_hours(24 * (count - 1 - day)))
        })
        .collect()
}

fn storage_forecast(history: &[Sample]) -> (Option<String>, i32, String) {
    let judgement = judge(&declared(), Some(&profile()), &facts(), history, &zone(), now());
    let forecast = judgement.balance.forecast.into_iter().find(|forecast| forecast.layer == Layer::Storage).expect("a forecast");
    (forecast.short_time.map(|time| time.0.to_string()), forecast.basis.days, forecast.advice.unwrap_or_default())
}

#[test]
fn a_growing_repository_runs_short_on_a_day_and_says_what_to_add_before() {
    // 9Ti today, 50Gi a day more, 15Ti may be used: 122.88 days.
    let history = days(30, |day| 9 * TI - (29 - day) * 50 * GI);
    let (short, basis, advice) = storage_forecast(&history);
    assert_eq!((short.as_deref(), basis), (Some("2027-03-26T16:00:00Z"), 29));
    assert_eq!(advice, "+24 TiB of repository shinan before 2027-02 keeps 12 months ahead");
}

#[test]
fn a_short_history_says_nothing_and_says_why() {
    assert_eq!(storage_forecast(&[]), (None, 0, "0 days are recorded: nothing is said before there are 14".into()));
    assert_eq!(storage_forecast(&days(14, |day| 9 * TI + day * GI)), (None, 13, "13 days are recorded: nothing is said before there are 14".into()));
    assert_eq!(storage_forecast(&days(15, |_| 9 * TI)), (None, 14, "what is used does not grow".into()));
    assert_eq!(storage_forecast(&days(40, |day| 9 * TI + day * 1000)), (None, 39, "lasts longer than five years at today's growth".into()));
}

#[test]
fn one_record_a_day_is_kept_and_the_oldest_go_first() {
    let mut history = days(2, |_| TI);
    let again = forecast::sample(&[], 2, now());
    assert_eq!(forecast::extend(&history, again), None, "nothing was counted");
    let same_day = Sample { at: now() + SignedDuration::from_hours(20), ..history[1].clone() };
    assert_eq!(forecast::extend(&history, same_day), None);
    for day in 1..1000 {
        let next = Sample { at: now() + SignedDuration::from_hours(24 * day), ..history[0].clone() };
        history = forecast::extend(&history, next).expect("a new day");
    }
    assert!(history.len() <= forecast::MOST_SAMPLES, "{}", history.len());
    assert!(serde_json::to_string(&history).expect("JSON").len() < 800_000);
    assert_eq!(history.last().map(|sample| sample.at), Some(now() + SignedDuration::from_hours(24 * 999)));
    let wide = Sample { rows: vec![history[0].rows[0].clone(); 5_000], ..history[0].clone() };
    let cut = forecast::extend(&history, Sample { at: now() + SignedDuration::from_hours(24 * 1001), ..wide }).expect("a new day");
    assert!(serde_json::to_string(&cut).expect("JSON").len() < 800_000);
}

#[test]
fn a_supply_of_nothing_carries_nothing() {
    let supply =
        Supply { layer: Layer::Servers, resource: DemandResource::Cpu, site: None, what: "cpu".into(), capacity: 0, used: Some(0), reserve_percent: 20 };
    assert_eq!((supply.usable(), supply.carries(4000), supply.into_reserve()), (0, 0, false));
}
