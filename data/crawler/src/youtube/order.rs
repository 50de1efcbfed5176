//! Whether videos really come in the order that was asked for.
//!
//! YouTube has answered a request for Popular with Latest and said nothing, so the order is checked.

use super::counts::Count;

/// By how many hundredths a later video may have more views than an earlier one: the order is made from
/// numbers of another moment than those shown.
const TOLERATED_RISE_PERCENT: u64 = 10;
/// One pair of videos in so many may stand in the wrong order.
const TOLERATED_PAIRS: usize = 20;

/// Whether videos with these views, in this order, come with the most seen first.
///
/// A pair of videos is out of order when the later one has over 10 % more views than the earlier one can
/// have, which is the most that its shortened number stands for. At most one in twenty of all pairs may be:
/// in a random order it is about half of them, and one neighbour too early in a page of 30 is one in 435.
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
        let counts: Vec<Count> = views.iter().map(|text| Count::of_views(text).unwrap()).collect();
        assert_eq!(is_nearly_sorted(&counts), expected, "{views:?}");
    }

    #[test]
    fn falling_numbers_are_sorted_and_rising_ones_are_not() {
        check(&[], true);
        check(&["5 views"], true);
        check(&["1.2M views", "1.1M views", "500K views", "28 views"], true);
        check(&["28 views", "500K views", "1.1M views", "1.2M views"], false);
        check(&["500K views", "1.2M views", "28 views", "1.1M views"], false);
    }

    #[test]
    fn shortened_numbers_and_small_rises_are_not_out_of_order() {
        check(&["6M views", "6,999,999 views"], true);
        check(&["1,000,000 views", "1.1M views", "900K views"], true);
        check(&["1,000,000 views", "1.2M views", "900K views"], false);
    }

    #[test]
    fn a_video_that_rose_does_not_spoil_a_page() {
        let mut views: Vec<Count> = (1..=30).rev().map(|n| Count::exact(n * 100_000)).collect();
        views.swap(10, 14);
        assert!(is_nearly_sorted(&views));
        views.rotate_left(3);
        assert!(!is_nearly_sorted(&views));
    }
}
