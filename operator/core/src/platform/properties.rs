//! What must hold of every platform.

use super::{
    balance,
    facts::{Amounts, Facts, NodeFacts, RepositoryFacts, Sight, SiteFacts},
    judge::judge,
    supply,
};
use jiff::{Timestamp, tz::TimeZone};
use p861_crds::{
    LocalizedText, ObjectReference, PlatformProfileSpec, PlatformSpec,
    common::Quantity,
    platform::{
        district::SiteRole,
        platform::{StorageClass, StorageClassSite, Uplink},
        profile::{DemandResource, Layer, StandardDemand},
    },
};
use proptest::prelude::*;

/// Cores, gibibytes of memory, pods.
type Node = (i64, i64, i64);

/// What a generated platform is made of.
#[derive(Clone, Debug)]
struct World {
    /// Of each site: its nodes; gibibytes of volumes.
    sites: Vec<(Vec<Node>, i64)>,
    repository: i64,
    uplinks: Vec<i64>,
    reserve: i32,
    demand: [i64; 6],
}

const GI: i64 = 1 << 30;

fn world() -> impl Strategy<Value = World> {
    let node = (1_i64..200, 1_i64..1024, 1_i64..250);
    let site = (prop::collection::vec(node, 0..6), 0_i64..100_000);
    (prop::collection::vec(site, 1..4), 0_i64..100_000, prop::collection::vec(1_i64..100_000, 0..3), 0..=90_i32, prop::array::uniform6(1_i64..1000))
        .prop_map(|(sites, repository, uplinks, reserve, demand)| World { sites, repository, uplinks, reserve, demand })
}

fn declared(world: &World) -> (PlatformSpec, Vec<StandardDemand>, Facts) {
    let site = |index: usize| format!("site-{index}");
    let mut spec = PlatformSpec::default();
    spec.servers.reserve_percent = world.reserve;
    spec.storage.reserve_percent = world.reserve;
    spec.network.uplinks = world
        .uplinks
        .iter()
        .enumerate()
        .map(|(index, mega)| Uplink { name: format!("line-{index}"), capacity_bits_per_second: Quantity(format!("{mega}M")) })
        .collect();
    let class = |(index, (_, volumes)): (usize, &(Vec<_>, i64))| StorageClassSite {
        site_ref: ObjectReference::new(site(index)),
        storage_class_name: "block".into(),
        volume_snapshot_class_name: None,
        capacity: Some(Quantity(format!("{volumes}Gi"))),
    };
    spec.storage.classes = vec![StorageClass { name: "block".into(), sites: world.sites.iter().enumerate().map(class).collect() }];
    let sight = |nodes: &[Node]| Sight {
        nodes: nodes
            .iter()
            .map(|(cpu, memory, pods)| NodeFacts {
                usable: true,
                allocatable: Amounts { cpu: cpu * 1000, memory: memory * GI, pods: *pods },
                ..NodeFacts::default()
            })
            .collect(),
        storage_classes: ["block".to_owned()].into(),
        ..Sight::default()
    };
    let sites = world
        .sites
        .iter()
        .enumerate()
        .map(|(index, (nodes, _))| SiteFacts {
            name: site(index),
            role: if index == 0 { SiteRole::Primary } else { SiteRole::Standby },
            sight: Ok(sight(nodes)),
        })
        .collect();
    let repositories = vec![RepositoryFacts { name: "main".into(), exists: true, ready: true, capacity: Some(world.repository * GI), used: None }];
    let row = |layer, resource, quantity: String| StandardDemand { layer, resource, quantity: Quantity(quantity) };
    let [bits, cpu, memory, pods, volumes, repository] = world.demand;
    let demand = vec![
        row(Layer::Network, DemandResource::BitsPerSecond, format!("{bits}M")),
        row(Layer::Servers, DemandResource::Cpu, format!("{cpu}00m")),
        row(Layer::Servers, DemandResource::Memory, format!("{memory}Gi")),
        row(Layer::Servers, DemandResource::Pods, pods.to_string()),
        row(Layer::Storage, DemandResource::Volumes, format!("{volumes}Gi")),
        row(Layer::Storage, DemandResource::Repository, format!("{repository}Gi")),
    ];
    (spec, demand, Facts { sites, repositories, applications: Vec::new() })
}

fn profile(demand: Vec<StandardDemand>) -> PlatformProfileSpec {
    PlatformProfileSpec {
        names: LocalizedText::default(),
        edition: "test".into(),
        source: "test".into(),
        items: Vec::new(),
        standard_application: demand,
        criticalities: Vec::new(),
        recovery_levels: None,
        scorecard: None,
    }
}

fn supported(world: &World) -> (Option<i64>, Vec<Option<i64>>) {
    let (spec, demand, facts) = declared(world);
    let judged = judge(&spec, Some(&profile(demand)), &facts, &[], &TimeZone::UTC, Timestamp::UNIX_EPOCH);
    (judged.balance.supportable, judged.layers.iter().map(|layer| layer.supportable).collect())
}

proptest! {
    #[test]
    fn adding_capacity_never_lowers_what_is_supportable(world in world(), at in 0..4_usize, kind in 0..5, more in (1_i64..100, 1_i64..500, 1_i64..100)) {
        let mut richer = world.clone();
        let site = at % richer.sites.len();
        match kind {
            0 => richer.sites[site].0.push(more),
            1 => richer.sites[site].1 += more.1,
            2 => richer.repository += more.1,
            3 => richer.uplinks.iter_mut().for_each(|line| *line += more.0),
            _ => richer.sites[site].0.iter_mut().for_each(|node| { node.0 += more.0; node.1 += more.1; node.2 += more.2 }),
        }
        prop_assert!(supported(&richer).0 >= supported(&world).0);
        prop_assert!(supported(&richer).1.iter().zip(supported(&world).1).all(|(after, before)| *after >= before));
    }

    #[test]
    fn the_platform_never_supports_more_than_its_shortest_layer(world in world()) {
        let (platform, layers) = supported(&world);
        prop_assert_eq!(platform, layers.iter().flatten().min().copied());
        for layer in layers.into_iter().flatten() {
            prop_assert!(platform.is_some_and(|platform| platform <= layer));
        }
    }

    #[test]
    fn more_demand_never_raises_it(world in world(), of in 0..6_usize, more in 1_i64..1000) {
        let mut hungrier = world.clone();
        hungrier.demand[of] += more;
        prop_assert!(supported(&hungrier).0 <= supported(&world).0);
        let mut careful = world.clone();
        careful.reserve = (careful.reserve + 5).min(90);
        prop_assert!(supported(&careful).0 <= supported(&world).0);
    }

    #[test]
    fn what_is_carried_fits_beside_the_reserve(world in world()) {
        let (spec, demand, facts) = declared(&world);
        for supply in supply::supplies(&spec, &facts, 0, &demand) {
            let need = demand.iter().find(|row| row.resource == supply.resource).and_then(|row| supply::amount(row.resource, &row.quantity.0)).unwrap_or(1);
            let carried = i128::from(supply.carries(need));
            prop_assert!(carried * i128::from(need) * 100 <= i128::from(supply.capacity) * i128::from(100 - supply.reserve_percent));
            prop_assert!((carried + 1) * i128::from(need) > i128::from(supply.usable()), "one more would fit");
        }
    }

    #[test]
    fn excess_is_more_than_three_times_the_shortest(world in world()) {
        let (spec, demand, facts) = declared(&world);
        let judged = judge(&spec, Some(&profile(demand)), &facts, &[], &TimeZone::UTC, Timestamp::UNIX_EPOCH);
        let Some(least) = judged.balance.supportable else { return Ok(()) };
        for layer in &judged.layers {
            let excess = layer.supportable.is_some_and(|supportable| supportable > least * balance::EXCESS_FACTOR);
            prop_assert_eq!(judged.balance.excess_layers.contains(&layer.layer), excess);
        }
    }
}
