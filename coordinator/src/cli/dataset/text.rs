//! The text report of `subwatch dataset check`. Empty sections are omitted; `-o json` prints all of it.

use std::path::PathBuf;

use dataset::check::{DatasetReport, Occurrences, Warning};

use crate::cli::{
    output::{counted, digits, plain},
    table::table,
};

/// Most problems, duplicate rows and categories listed.
const LISTED: usize = 20;
/// Most groups of duplicate images, and files without a row, listed.
const GROUPS: usize = 5;
/// Most examples of a warning, images of a group, and image sizes listed.
const EXAMPLES: usize = 3;
/// Width of the longest bar of the histogram, in characters.
const BAR_WIDTH: u64 = 40;

pub(super) fn report(found: &DatasetReport, images: bool, plots: &[PathBuf]) -> String {
    let mut lines = overview(found, images);
    lines.extend(duplicate_images(found));
    lines.extend(skipped(found));
    lines.extend(unusable(found));
    lines.extend(warnings(&found.warnings));
    if !found.categories.is_empty() {
        lines.push(categories(found));
    }
    if found.labels.items > 0 {
        lines.push(format!("labels      {}, {}", found.labels.items, found.labels.target));
        lines.push(quantiles(found));
        lines.push(histogram(found));
    }
    for path in plots {
        lines.push(format!("plot        {}", plain(&path.display().to_string())));
    }
    lines.join("\n")
}

fn overview(found: &DatasetReport, images: bool) -> Vec<String> {
    let rows = if found.rows > 0 { found.rows.to_string() } else { "none".to_owned() };
    let mut lines = vec![format!("rows        {rows}")];
    lines.push(format!("items       {} from {}", found.items, counted(found.channels, "channel")));
    if images {
        lines.push(format!("images      {} decoded{}", found.images, counts("; ", &found.sizes)));
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
            "approximate views in {}, subscribers in {}",
            counted(approximate.views, "row"),
            counted(approximate.subscribers, "row")
        ));
    }
    if !found.skipped_files.is_empty() {
        lines.push(format!("skipped     {}", plain(&found.skipped_files.to_string())));
    }
    if !found.files_without_row.is_empty() {
        lines.push(format!(
            "no row      {}: {}",
            counted(found.files_without_row.len() as u64, "image"),
            first_names(&found.files_without_row, found.files_without_row.len(), GROUPS)
        ));
    }
    lines
}

fn duplicate_images(found: &DatasetReport) -> Vec<String> {
    let mut lines = Vec::new();
    if found.duplicate_images > 0 {
        let duplicates = counted(found.duplicate_images, "exact duplicate");
        lines.push(format!("identical   {duplicates} of other images"));
        let groups = found.duplicate_image_groups.iter().take(GROUPS);
        lines.extend(groups.map(|group| format!("  {}", first_names(group, group.len(), EXAMPLES))));
        lines.extend(further(found.duplicate_image_groups.len(), GROUPS));
    }
    if found.near_duplicate_images > 0 {
        let duplicates = counted(found.near_duplicate_images, "near duplicate");
        lines.push(format!(
            "similar     {duplicates} of other images: re-encoded, resized or slightly cropped"
        ));
        let groups = found.near_duplicate_image_groups.iter().take(GROUPS);
        lines.extend(
            groups.map(|group| format!("  {}", first_names(&group.items, group.items.len(), EXAMPLES))),
        );
        lines.extend(further(found.near_duplicate_image_groups.len(), GROUPS));
    }
    lines
}

fn skipped(found: &DatasetReport) -> Vec<String> {
    let mut lines = vec![format!(
        "skipped     {} when training for {}",
        counted(total(&found.skipped), "item"),
        found.labels.target
    )];
    lines.extend(found.skipped.iter().map(|count| format!("  {:>6}  {}", count.items, plain(&count.value))));
    lines
}

fn unusable(found: &DatasetReport) -> Vec<String> {
    let mut lines = Vec::new();
    if !found.problems.is_empty() {
        lines.push(format!("problems    {}", found.problems.len()));
        let problems = found.problems.iter().take(LISTED);
        lines.extend(
            problems.map(|problem| format!("  {}: {}", plain(&problem.item), plain(&problem.reason))),
        );
        lines.extend(further(found.problems.len(), LISTED));
    }
    if !found.duplicate_rows.is_empty() {
        let rows = found.duplicate_rows.len();
        lines.push(format!(
            "duplicates  {}; embed, predict and train refuse the dataset",
            counted(rows as u64, "duplicate row")
        ));
        lines.extend(found.duplicate_rows.iter().take(LISTED).map(|row| format!("  {}", plain(row))));
        lines.extend(further(rows, LISTED));
    }
    lines
}

fn warnings(warnings: &[Warning]) -> Vec<String> {
    let mut lines = Vec::new();
    if !warnings.is_empty() {
        lines.push("warnings    suspicious, but kept".to_owned());
    }
    for warning in warnings {
        lines.push(format!("  {:>6}  {}", warning.count, warning.description));
        if warning.examples.iter().all(|example| example.value.is_empty()) {
            let items: Vec<String> = warning.examples.iter().map(|example| example.item.clone()).collect();
            lines.push(format!("          {}", first_names(&items, warning.count as usize, EXAMPLES)));
            continue;
        }
        let examples = warning.examples.iter().take(EXAMPLES);
        lines.extend(examples.map(|example| {
            let value = plain(&example.value);
            let value = if value.is_empty() { value } else { format!(": {value}") };
            format!("          {}{value}", plain(&example.item))
        }));
        if warning.count as usize > EXAMPLES {
            lines.push(format!("          … and {} more", warning.count as usize - EXAMPLES));
        }
    }
    lines
}

fn categories(found: &DatasetReport) -> String {
    let mut rows = table(&["category", "channels›", "rows›"]);
    for category in found.categories.iter().take(LISTED) {
        rows.add_row(vec![
            plain(&category.category),
            category.channels.to_string(),
            category.rows.to_string(),
        ]);
    }
    if found.rows_without_category > 0 {
        rows.add_row(vec!["(none)".to_owned(), String::new(), found.rows_without_category.to_string()]);
    }
    let further = further(found.categories.len(), LISTED).map(|line| format!("\n{line}"));
    format!("{}{}", rows.text(), further.unwrap_or_default())
}

fn total(counts: &[Occurrences]) -> u64 {
    counts.iter().map(|count| count.items).sum()
}

/// The most frequent of some counts, with a prefix if there are any.
fn counts(prefix: &str, counts: &[Occurrences]) -> String {
    let of = |count: &Occurrences| format!("{} ({})", plain(&count.value), count.items);
    let mut shown: Vec<String> = counts.iter().take(EXAMPLES).map(of).collect();
    if counts.len() > EXAMPLES {
        shown.push(format!("other ({})", total(&counts[EXAMPLES..])));
    }
    if shown.is_empty() { String::new() } else { format!("{prefix}{}", shown.join(", ")) }
}

/// The first `limit` of `total` names.
fn first_names(names: &[String], total: usize, limit: usize) -> String {
    let shown = names.iter().take(limit).map(|name| plain(name)).collect::<Vec<_>>().join(", ");
    if total > limit { format!("{shown} and {} more", total - limit) } else { shown }
}

/// The line that counts what is not listed.
fn further(total: usize, listed: usize) -> Option<String> {
    (total > listed).then(|| format!("  … and {} more: use -o json", total - listed))
}

fn quantiles(found: &DatasetReport) -> String {
    let heading = |quantile: f64| match quantile {
        0.0 => "min›".to_owned(),
        0.5 => "median›".to_owned(),
        1.0 => "max›".to_owned(),
        quantile => format!("p{:.0}›", quantile * 100.0),
    };
    let headings: Vec<String> =
        found.labels.quantiles.iter().map(|(quantile, _)| heading(*quantile)).collect();
    let mut rows = table(&headings);
    rows.add_row(found.labels.quantiles.iter().map(|(_, label)| digits(*label)).collect());
    rows.text()
}

fn histogram(found: &DatasetReport) -> String {
    let most = found.labels.histogram.iter().map(|(_, items)| *items).max().unwrap_or(1).max(1);
    let line = |(edge, items): &(f64, u64)| {
        let bar = "█".repeat((items * BAR_WIDTH).div_ceil(most) as usize);
        format!("{:>12} │{bar} {items}", digits(*edge))
    };
    found.labels.histogram.iter().map(line).collect::<Vec<_>>().join("\n")
}
