//! Regression metrics, computed in item order in f64. A metric that is undefined for its inputs is NaN.

/// Mean squared error.
pub(super) fn mse(predictions: &[f64], targets: &[f64]) -> f64 {
    mean(predictions.iter().zip(targets).map(|(p, t)| (p - t) * (p - t)))
}

/// Mean absolute error.
pub(super) fn mae(predictions: &[f64], targets: &[f64]) -> f64 {
    mean(predictions.iter().zip(targets).map(|(p, t)| (p - t).abs()))
}

/// Coefficient of determination, relative to the targets' mean; undefined for constant targets.
pub(super) fn r2(predictions: &[f64], targets: &[f64]) -> f64 {
    if is_constant(targets) {
        return f64::NAN;
    }
    let center = mean(targets.iter().copied());
    let variance = mean(targets.iter().map(|t| (t - center) * (t - center)));
    1.0 - mse(predictions, targets) / variance
}

/// Spearman's rank correlation, where ties share their mean rank; undefined if either argument is constant or has a NaN.
pub(super) fn spearman(predictions: &[f64], targets: &[f64]) -> f64 {
    let has_nan = predictions.iter().chain(targets).any(|value| value.is_nan());
    if has_nan || is_constant(predictions) || is_constant(targets) {
        return f64::NAN;
    }
    let (a, b) = (ranks(predictions), ranks(targets));
    let (mean_a, mean_b) = (mean(a.iter().copied()), mean(b.iter().copied()));
    let covariance = mean(a.iter().zip(&b).map(|(a, b)| (a - mean_a) * (b - mean_b)));
    let variance_a = mean(a.iter().map(|a| (a - mean_a) * (a - mean_a)));
    let variance_b = mean(b.iter().map(|b| (b - mean_b) * (b - mean_b)));
    covariance / (variance_a * variance_b).sqrt()
}

/// Returns whether no two values differ, as with fewer than two.
fn is_constant(values: &[f64]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

/// Arithmetic mean; 0 if there are no values.
pub(super) fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len();
    if count == 0 { 0.0 } else { values.sum::<f64>() / count as f64 }
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = start as f64 + (tied.len() as f64 + 1.0) / 2.0;
        for &index in tied {
            ranks[index] = rank;
        }
        start += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_match_scipy_and_sklearn() {
        let predictions = [2.5, 0.0, 2.0, 8.0];
        let targets = [3.0, -0.5, 2.0, 7.0];
        assert!((mse(&predictions, &targets) - 0.375).abs() < 1e-12);
        assert!((mae(&predictions, &targets) - 0.5).abs() < 1e-12);
        assert!((r2(&predictions, &targets) - 0.948_608_137_044_967_9).abs() < 1e-12);
    }

    #[test]
    fn ties_share_their_mean_rank() {
        assert_eq!(ranks(&[10.0, 20.0, 10.0, 5.0]), [2.5, 4.0, 2.5, 1.0]);
        // scipy.stats.spearmanr([1, 2, 2, 3], [1, 3, 2, 4]).statistic
        assert!(
            (spearman(&[1.0, 2.0, 2.0, 3.0], &[1.0, 3.0, 2.0, 4.0]) - 0.948_683_298_050_513_8).abs() < 1e-12
        );
    }

    #[test]
    fn metrics_of_constant_values_are_undefined() {
        // 0.1 + 0.1 + 0.1 is not 3 × 0.1, so the variance of equal values may exceed zero.
        assert!(r2(&[1.0, 2.0, 3.0], &[0.1, 0.1, 0.1]).is_nan());
        assert!(r2(&[1.0], &[5.0]).is_nan());
        assert!(spearman(&[1.0, 1.0], &[5.0, 6.0]).is_nan());
        assert!(spearman(&[5.0, 6.0], &[1.0, 1.0]).is_nan());
        assert!(spearman(&[1.0], &[5.0]).is_nan());
        assert!(spearman(&[f64::NAN, 1.0], &[5.0, 6.0]).is_nan());
        assert_eq!(mse(&[], &[]), 0.0);
    }
}
