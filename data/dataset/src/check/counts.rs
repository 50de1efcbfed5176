//! Warnings about the views and subscribers of a row.

use super::warnings::{MAX_VIEWS_PER_SUBSCRIBER, Reason, Warnings};
use crate::manifest::ManifestItem;

pub(super) fn check(item: &ManifestItem, warnings: &mut Warnings) {
    let name = &item.item;
    match item.subscribers {
        None => warnings.add(Reason::SubscribersMissing, name, ""),
        Some(0) => warnings.add(Reason::SubscribersZero, name, views(item.views)),
        Some(_) => {}
    }
    match item.views {
        None => warnings.add(Reason::ViewsMissing, name, ""),
        Some(0) => warnings.add(Reason::ViewsZero, name, subscribers(item.subscribers)),
        Some(_) => {}
    }
    if let (Some(view_count @ 1..), Some(subscriber_count @ 1..)) = (item.views, item.subscribers)
        && view_count > subscriber_count.saturating_mul(MAX_VIEWS_PER_SUBSCRIBER)
    {
        let value = format!("{}, {}", views(item.views), subscribers(item.subscribers));
        let weight = view_count as f64 / subscriber_count as f64;
        warnings.add_by_weight(Reason::ViewsBeyondSubscribers, weight, name, value);
    }
}

fn views(count: Option<u64>) -> String {
    count.map_or_else(String::new, |count| format!("views {count}"))
}

fn subscribers(count: Option<u64>) -> String {
    count.map_or_else(String::new, |count| format!("subscribers {count}"))
}

/// Whether the ratio of two counts is a power of ten, as of 1,090,000 and 10,900,000.
pub(super) fn differ_by_power_of_ten(a: u64, b: u64) -> bool {
    let (small, large) = (a.min(b), a.max(b));
    let powers = std::iter::successors(small.checked_mul(10), |power| power.checked_mul(10));
    small > 0 && powers.take_while(|power| *power <= large).any(|power| power == large)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(views: Option<u64>, subscribers: Option<u64>) -> Vec<(Reason, String)> {
        let item = ManifestItem { views, subscribers, ..ManifestItem::named("x.jpg") };
        let mut warnings = Warnings::default();
        check(&item, &mut warnings);
        let warnings = warnings.into_list().into_iter();
        warnings.map(|warning| (warning.reason, warning.examples[0].value.clone())).collect()
    }

    #[test]
    fn suspicious_counts_are_reported_with_reason_and_value() {
        let check = |views, subscribers, want: &[(Reason, &str)]| {
            let want: Vec<(Reason, String)> = want.iter().map(|(r, v)| (*r, (*v).to_owned())).collect();
            assert_eq!(reasons(views, subscribers), want, "{views:?} {subscribers:?}");
        };
        check(Some(5), Some(7), &[]);
        check(Some(20_000), Some(2), &[]);
        check(Some(20_001), Some(2), &[(Reason::ViewsBeyondSubscribers, "views 20001, subscribers 2")]);
        check(Some(u64::MAX), Some(u64::MAX / 2), &[]);
        check(Some(5), Some(0), &[(Reason::SubscribersZero, "views 5")]);
        check(Some(0), Some(3), &[(Reason::ViewsZero, "subscribers 3")]);
        check(None, None, &[(Reason::SubscribersMissing, ""), (Reason::ViewsMissing, "")]);
    }

    #[test]
    fn only_powers_of_ten_are_detected() {
        for (a, b) in [(170_000_000, 1_700_000_000), (10, 1), (109, 1_090_000)] {
            assert!(differ_by_power_of_ten(a, b), "{a} {b}");
        }
        for (a, b) in [(5, 5), (0, 10), (0, 0), (1_090_000, 1_100_000), (17, 171), (u64::MAX, 1)] {
            assert!(!differ_by_power_of_ten(a, b), "{a} {b}");
        }
    }
}
