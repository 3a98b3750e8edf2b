//! Comparison of the layers: the weakest layer (短板) limits the platform; capacity far above it (一枝独秀) is wasted.

use p861_crds::platform::{
    profile::Layer,
    status::{Balance, LayerStatus},
};

/// A layer that supports more than this many times as many applications as the weakest is oversized.
pub const EXCESS_FACTOR: i64 = 3;

/// Compares the layers that can be counted. The platform supports what its weakest layer does; a layer of the profile that could not be counted now leaves
/// the whole unknown, since it may be the shortest.
pub fn weigh(layers: &[LayerStatus], uncounted: &[Layer], running: i64) -> Balance {
    let counted: Vec<(Layer, i64)> = layers.iter().filter_map(|layer| Some((layer.layer, layer.supportable?))).collect();
    let Some((shortest, least)) = counted.iter().copied().min_by_key(|(_, supportable)| *supportable) else { return Balance { running, ..Balance::default() } };
    if !uncounted.is_empty() {
        return Balance { running, ..Balance::default() };
    }
    let excess = counted
        .iter()
        .filter(|(layer, supportable)| *layer != shortest && *supportable > least.saturating_mul(EXCESS_FACTOR))
        .map(|(layer, _)| *layer)
        .collect();
    Balance { supportable: Some(least), running, shortest_layer: Some(shortest), excess_layers: excess, forecast: Vec::new() }
}
