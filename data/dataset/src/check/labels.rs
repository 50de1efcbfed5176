//! The distribution of a dataset's labels.

use serde::Serialize;

use crate::target::{Target, Transform};

/// Bins of the report's histogram.
const BINS: usize = 16;

/// The distribution of labels for one target.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Labels {
    pub target: Target,
    /// Items with a label.
    pub items: u64,
    /// Pairs of quantile (0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1) and label in raw units; empty
    /// without labels.
    pub quantiles: Vec<(f64, f64)>,
    /// A histogram of `ln(1 + label)`: pairs of lower edge in raw units and number of items.
    pub histogram: Vec<(f64, u64)>,
}

/// Bins of equal width in `ln(1 + label)`.
pub(super) struct Bins {
    /// Number of items in each bin.
    pub(super) items: Vec<u64>,
    /// Lower edge of the first bin, in transformed units.
    pub(super) low: f64,
    /// In transformed units; greater than 0.
    pub(super) width: f64,
}

/// Returns the distribution of `labels`, and the sorted labels.
pub(super) fn distribution(target: Target, mut labels: Vec<f64>) -> (Labels, Vec<f64>) {
    const QUANTILES: [f64; 9] = [0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0];
    labels.sort_by(f64::total_cmp);
    let Some(bins) = bins(&labels, BINS) else {
        return (Labels { target, items: 0, quantiles: Vec::new(), histogram: Vec::new() }, labels);
    };
    let edge = |bin: usize| Transform::Log1p.invert(bins.low + bins.width * bin as f64);
    let distribution = Labels {
        target,
        items: labels.len() as u64,
        quantiles: QUANTILES.map(|quantile| (quantile, at_quantile(&labels, quantile))).to_vec(),
        histogram: bins.items.iter().enumerate().map(|(bin, items)| (edge(bin), *items)).collect(),
    };
    (distribution, labels)
}

/// Returns a quantile of `labels`, interpolated linearly. `labels` must be sorted and not empty.
pub(super) fn at_quantile(labels: &[f64], quantile: f64) -> f64 {
    let position = quantile * (labels.len() - 1) as f64;
    let (below, above) = (labels[position.floor() as usize], labels[position.ceil() as usize]);
    below + (above - below) * position.fract()
}

/// Counts sorted labels in `count` bins; returns `None` without labels.
pub(super) fn bins(labels: &[f64], count: usize) -> Option<Bins> {
    let low = Transform::Log1p.apply(*labels.first()?);
    let high = Transform::Log1p.apply(*labels.last()?);
    let width = ((high - low) / count as f64).max(f64::MIN_POSITIVE);
    let mut items = vec![0; count];
    for label in labels {
        let bin = ((Transform::Log1p.apply(*label) - low) / width) as usize;
        items[bin.min(count - 1)] += 1;
    }
    Some(Bins { items, low, width })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated() {
        let labels = [0.5, 1.0, 6.0, 7.0];
        assert_eq!([0.0, 0.5, 1.0].map(|quantile| at_quantile(&labels, quantile)), [0.5, 3.5, 7.0]);
        assert_eq!(at_quantile(&[3.0], 0.25), 3.0);
    }
}
