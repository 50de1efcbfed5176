//! The report of `subwatch dataset check`, for people.
//!
//! Owns its order and what is left to `-o json`. A section stands there only when there is something to say.

use std::path::PathBuf;

use dataset::check::{Inspection, Occurrences, Warning};

use crate::cli::output::{digits, number, plain, table};

/// Problems, duplicate rows and categories that are listed.
const LISTED: usize = 20;
/// Groups of images, and files, that are listed.
const GROUPS: usize = 5;
/// Examples of a suspicion, members of a group, sizes.
const EXAMPLES: usize = 3;
/// Width of the longest bar of the histogram.
const BAR: u64 = 40;

pub(super) fn of(found: &Inspection, images: bool, pictures: &[PathBuf]) -> String {
    let mut lines = overview(found, images);
    lines.extend(repeated(found));
    lines.extend(skipped(found));
    lines.extend(unusable(found));
    lines.extend(warnings(&found.warnings));
    if !found.categories.is_empty() {
        lines.push(categories(found));
    }
    if found.labels.items > 0 {
        lines.push(format!("labels      {} of {}", found.labels.items, found.labels.target));
        lines.push(quantiles(found));
        lines.push(histogram(found));
    }
    for path in pictures {
        lines.push(format!("picture     {}", plain(&path.display().to_string())));
    }
    lines.join("\n")
}

fn overview(found: &Inspection, images: bool) -> Vec<String> {
    let rows = if found.rows > 0 { found.rows.to_string() } else { "no metadata".to_owned() };
    let mut lines = vec![format!("rows        {rows}")];
    lines.push(format!("items       {} of {} channels", found.items, found.channels));
    if images {
        lines.push(format!("images      {} readable{}", found.images, counts("; ", &found.sizes)));
    }
    if !found.variants.is_empty() {
        lines.push(format!("variants    {}", counts("", &found.variants)));
    }
    if !found.sources.is_empty() {
        lines.push(format!("sources     {}", counts("", &found.sources)));
    }
    let approximate = found.approximate;
    if approximate.views + approximate.subscribers > 0 {
        lines.push(format!(
            "approximate views of {} rows, subscribers of {}",
            approximate.views, approximate.subscribers
        ));
    }
    if !found.files_without_row.is_empty() {
        lines.push(format!(
            "no row      {} images that no row names: {}",
            found.files_without_row.len(),
            some(&found.files_without_row, found.files_without_row.len(), GROUPS)
        ));
    }
    lines
}

fn repeated(found: &Inspection) -> Vec<String> {
    let mut lines = Vec::new();
    if found.repeated_images > 0 {
        lines.push(format!("repeated    {} with the bytes of another image", found.repeated_images));
        let groups = found.equal_images.iter().take(GROUPS);
        lines.extend(groups.map(|group| format!("  {}", some(group, group.len(), EXAMPLES))));
        lines.extend(further(found.equal_images.len(), GROUPS));
    }
    if found.near_repeats > 0 {
        lines.push(format!(
            "alike       {} with the looks of another image: saved again, resized or slightly cropped",
            found.near_repeats
        ));
        let groups = found.near_images.iter().take(GROUPS);
        lines.extend(groups.map(|group| format!("  {}", some(&group.items, group.items.len(), EXAMPLES))));
        lines.extend(further(found.near_images.len(), GROUPS));
    }
    lines
}

fn skipped(found: &Inspection) -> Vec<String> {
    let mut lines =
        vec![format!("left out    {} by a run for {}", total(&found.skipped), found.labels.target)];
    lines.extend(found.skipped.iter().map(|count| format!("  {:>6}  {}", count.items, plain(&count.what))));
    lines
}

fn unusable(found: &Inspection) -> Vec<String> {
    let mut lines = Vec::new();
    if !found.problems.is_empty() {
        lines.push(format!("problems    {}", found.problems.len()));
        let problems = found.problems.iter().take(LISTED);
        lines.extend(problems.map(|at| format!("  {}: {}", plain(&at.item), plain(&at.reason))));
        lines.extend(further(found.problems.len(), LISTED));
    }
    if !found.duplicate_rows.is_empty() {
        let rows = found.duplicate_rows.len();
        lines.push(format!("duplicates  {rows} rows: the dataset is refused until each stands once"));
        lines.extend(found.duplicate_rows.iter().take(LISTED).map(|row| format!("  {}", plain(row))));
        lines.extend(further(rows, LISTED));
    }
    lines
}

fn warnings(warnings: &[Warning]) -> Vec<String> {
    let mut lines = Vec::new();
    if !warnings.is_empty() {
        lines.push("looks odd   and is taken as it is, where the target has a label".to_owned());
    }
    for suspicion in warnings {
        lines.push(format!("  {:>6}  {}", suspicion.found, suspicion.means));
        if suspicion.examples.iter().all(|example| example.value.is_empty()) {
            let items: Vec<String> = suspicion.examples.iter().map(|example| example.item.clone()).collect();
            lines.push(format!("          {}", some(&items, suspicion.found as usize, EXAMPLES)));
            continue;
        }
        let examples = suspicion.examples.iter().take(EXAMPLES);
        lines.extend(examples.map(|at| {
            let value = if at.value.is_empty() { String::new() } else { format!(": {}", plain(&at.value)) };
            format!("          {}{value}", plain(&at.item))
        }));
        if suspicion.found as usize > EXAMPLES {
            lines.push(format!("          … and {} more", suspicion.found as usize - EXAMPLES));
        }
    }
    lines
}

fn categories(found: &Inspection) -> String {
    let mut rows = table(&["category", "channels›", "rows›"]);
    for category in found.categories.iter().take(LISTED) {
        rows.add_row([plain(&category.category), category.channels.to_string(), category.rows.to_string()]);
    }
    if found.without_category > 0 {
        rows.add_row(["(none)".to_owned(), String::new(), found.without_category.to_string()]);
    }
    let further = further(found.categories.len(), LISTED).map(|line| format!("\n{line}"));
    format!("{}{}", rows.trim_fmt(), further.unwrap_or_default())
}

fn total(counts: &[Occurrences]) -> u64 {
    counts.iter().map(|count| count.items).sum()
}

/// The most frequent of some counts, behind `before` if there are any.
fn counts(before: &str, counts: &[Occurrences]) -> String {
    let of = |count: &Occurrences| format!("{} of {}", count.items, plain(&count.what));
    let mut shown: Vec<String> = counts.iter().take(EXAMPLES).map(of).collect();
    if counts.len() > EXAMPLES {
        shown.push(format!("{} of others", total(&counts[EXAMPLES..])));
    }
    if shown.is_empty() { String::new() } else { format!("{before}{}", shown.join(", ")) }
}

/// The first of some names, of `all` there are.
fn some(names: &[String], all: usize, most: usize) -> String {
    let shown = names.iter().take(most).map(|name| plain(name)).collect::<Vec<_>>().join(", ");
    if all > most { format!("{shown} and {} more", all - most) } else { shown }
}

/// The line that stands for what is not listed.
fn further(all: usize, listed: usize) -> Option<String> {
    (all > listed).then(|| format!("  … and {} more: use -o json", all - listed))
}

fn quantiles(found: &Inspection) -> String {
    let headings: Vec<String> =
        found.labels.quantiles.iter().map(|(quantile, _)| format!("{:.0} %›", quantile * 100.0)).collect();
    let mut rows = table(&headings.iter().map(String::as_str).collect::<Vec<_>>());
    rows.add_row(found.labels.quantiles.iter().map(|(_, label)| number(*label)));
    rows.trim_fmt()
}

fn histogram(found: &Inspection) -> String {
    let most = found.labels.histogram.iter().map(|(_, items)| *items).max().unwrap_or(1).max(1);
    let line = |(edge, items): &(f64, u64)| {
        let bar = "█".repeat((items * BAR).div_ceil(most) as usize);
        format!("{:>12} │{bar} {items}", digits(*edge))
    };
    found.labels.histogram.iter().map(line).collect::<Vec<_>>().join("\n")
}
