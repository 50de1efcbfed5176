//! How the labels of a dataset are distributed.

use serde::Serialize;

use crate::target::{Target, Transform};

/// Bins of the histogram in the report.
const BINS: usize = 16;

/// How the labels of a dataset are distributed.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Labels {
    /// The target they are for.
    pub target: Target,
    /// Items that have one.
    pub items: u64,
    /// Quantiles 0, 1, 5, 25, 50, 75, 95, 99 and 100 % in raw units; empty without labels.
    pub quantiles: Vec<(f64, f64)>,
    /// A histogram of `ln(1 + label)`: lower edge in raw units, and items.
    pub histogram: Vec<(f64, u64)>,
}

/// Bins of equal width in `ln(1 + label)`.
pub(super) struct Bins {
    /// Items in each.
    pub(super) items: Vec<u64>,
    /// Where the first begins, in transformed units.
    pub(super) low: f64,
    /// How wide each is; more than 0.
    pub(super) width: f64,
}

/// Describes labels, and returns them in order as well.
pub(super) fn distribution(target: Target, mut labels: Vec<f64>) -> (Labels, Vec<f64>) {
    const QUANTILES: [f64; 9] = [0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0];
    labels.sort_by(f64::total_cmp);
    let Some(bins) = bins(&labels, BINS) else {
        return (Labels { target, items: 0, quantiles: Vec::new(), histogram: Vec::new() }, labels);
    };
    let edge = |bin: usize| Transform::Log1p.invert(bins.low + bins.width * bin as f64);
    let description = Labels {
        target,
        items: labels.len() as u64,
        quantiles: QUANTILES.map(|quantile| (quantile, at_quantile(&labels, quantile))).to_vec(),
        histogram: bins.items.iter().enumerate().map(|(bin, items)| (edge(bin), *items)).collect(),
    };
    (description, labels)
}

/// The label below which a part of all lies, between two labels where it falls there; there is at least one label,
/// and they are in order.
pub(super) fn at_quantile(labels: &[f64], quantile: f64) -> f64 {
    let place = quantile * (labels.len() - 1) as f64;
    let (below, above) = (labels[place.floor() as usize], labels[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// Counts labels, which are in order, in `count` bins; nothing where there is no label.
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
    fn a_quantile_between_two_labels_lies_between_them() {
        let labels = [0.5, 1.0, 6.0, 7.0];
        assert_eq!([0.0, 0.5, 1.0].map(|quantile| at_quantile(&labels, quantile)), [0.5, 3.5, 7.0]);
        assert_eq!(at_quantile(&[3.0], 0.25), 3.0);
    }
}
