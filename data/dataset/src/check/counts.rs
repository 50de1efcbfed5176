//! Views and subscribers of one row that look odd.

use super::warnings::{MANY_VIEWS, Reason, Warnings};
use crate::manifest::ManifestItem;

/// Looks at the counts of a row.
pub(super) fn suspect(item: &ManifestItem, warnings: &mut Warnings) {
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
    if let (Some(seen @ 1..), Some(subscribed @ 1..)) = (item.views, item.subscribers)
        && seen > subscribed.saturating_mul(MANY_VIEWS)
    {
        let value = format!("{}, {}", views(item.views), subscribers(item.subscribers));
        let weight = seen as f64 / subscribed as f64;
        warnings.add_by_weight(Reason::ViewsBeyondSubscribers, weight, name, value);
    }
}

fn views(count: Option<u64>) -> String {
    count.map_or_else(String::new, |count| format!("views {count}"))
}

fn subscribers(count: Option<u64>) -> String {
    count.map_or_else(String::new, |count| format!("subscribers {count}"))
}

/// Whether two counts have the same digits and differ by a power of ten: 1,090,000 and 10,900,000.
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
        suspect(&item, &mut warnings);
        let first =
            |suspicion: super::super::Warning| (suspicion.reason, suspicion.examples[0].value.clone());
        warnings.into_list().into_iter().map(first).collect()
    }

    #[test]
    fn odd_counts_have_their_reason_and_value() {
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
    fn powers_of_ten_are_told_from_growth() {
        for (a, b) in [(170_000_000, 1_700_000_000), (10, 1), (109, 1_090_000)] {
            assert!(differ_by_power_of_ten(a, b), "{a} {b}");
        }
        for (a, b) in [(5, 5), (0, 10), (0, 0), (1_090_000, 1_100_000), (17, 171), (u64::MAX, 1)] {
            assert!(!differ_by_power_of_ten(a, b), "{a} {b}");
        }
    }
}
