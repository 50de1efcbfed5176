//! Checks that videos are in the requested order: YouTube has responded to Popular with Latest, without an error.

use super::counts::Count;

/// By how many percent a later video may exceed an earlier one: YouTube sorts by counts from another time.
const TOLERATED_RISE_PERCENT: u64 = 10;
/// One pair of videos in this many may be in the wrong order.
const TOLERATED_PAIRS: usize = 20;

/// Whether these views are roughly in descending order.
///
/// A pair is out of order if the later video has over 10 % more views than the upper bound of the earlier one's
/// abbreviated count. At most one pair in twenty may be out of order: in random order about half of them are, and one
/// swapped neighbour on a page of 30 is one pair in 435.
#[must_use]
pub fn is_nearly_sorted(views: &[Count]) -> bool {
    let pairs = views.len() * views.len().saturating_sub(1) / 2;
    let risen = |earlier: &Count, later: &Count| {
        let allowance = earlier.at_most() / 100 * TOLERATED_RISE_PERCENT;
        later.value > earlier.at_most().saturating_add(allowance)
    };
    let wrong: usize = (1..)
        .zip(views)
        .map(|(rest, earlier)| views[rest..].iter().filter(|later| risen(earlier, later)).count())
        .sum();
    wrong * TOLERATED_PAIRS <= pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(views: &[&str], expected: bool) {
        let counts: Vec<Count> = views.iter().map(|text| Count::parse_views(text).unwrap()).collect();
        assert_eq!(is_nearly_sorted(&counts), expected, "{views:?}");
    }

    #[test]
    fn descending_views_are_sorted_and_ascending_ones_are_not() {
        check(&[], true);
        check(&["5 views"], true);
        check(&["1.2M views", "1.1M views", "500K views", "28 views"], true);
        check(&["28 views", "500K views", "1.1M views", "1.2M views"], false);
        check(&["500K views", "1.2M views", "28 views", "1.1M views"], false);
    }

    #[test]
    fn abbreviated_counts_and_small_rises_are_tolerated() {
        check(&["6M views", "6,999,999 views"], true);
        check(&["1,000,000 views", "1.1M views", "900K views"], true);
        check(&["1,000,000 views", "1.2M views", "900K views"], false);
    }

    #[test]
    fn one_misplaced_video_is_tolerated() {
        let mut views: Vec<Count> = (1..=30).rev().map(|n| Count::exact(n * 100_000)).collect();
        views.swap(10, 14);
        assert!(is_nearly_sorted(&views));
        views.rotate_left(3);
        assert!(!is_nearly_sorted(&views));
    }
}
