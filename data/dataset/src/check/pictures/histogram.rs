//! The histogram of a dataset's labels.
//!
//! The x axis has the scale `ln(1 + label)` with ticks in raw units; the y axis is linear from 0.

use images::{
    canvas::{Canvas, Font, TextAlign},
    picture::Picture,
};

use super::{
    colours::{ACCENT, BACKGROUND, GRID, SECONDARY_TEXT, TEXT},
    number_text::{grouped, short},
};
use crate::{
    check::labels::{Bins, at_quantile, bins},
    target::{Target, Transform},
};

const WIDTH: u32 = 1200;
const HEIGHT: u32 = 640;
/// Plot area.
const LEFT: u32 = 112;
const TOP: u32 = 124;
const BAR_WIDTH: u32 = 20;
const BARS: u32 = 52;
const PLOT_HEIGHT: u32 = 432;
const RIGHT: u32 = LEFT + BARS * BAR_WIDTH;
const BOTTOM: u32 = TOP + PLOT_HEIGHT;
/// Minimum distance between the centres of two tick labels.
const TICK_DISTANCE: u32 = 64;

/// Draws the histogram of `labels`, which must be sorted.
#[must_use]
pub fn histogram(target: Target, labels: &[f64]) -> Picture {
    let mut canvas = Canvas::new(WIDTH, HEIGHT, BACKGROUND);
    let title = format!("{} of {} thumbnails", axis_name(target), grouped(labels.len() as u64));
    canvas.draw_text(&title, LEFT, 28, TextAlign::Left, Font::Title, TEXT);
    match bins(labels, BARS as usize) {
        Some(bins) => draw(&mut canvas, target, labels, &bins),
        None => {
            canvas.draw_text(
                "no item has a label for this target",
                LEFT,
                60,
                TextAlign::Left,
                Font::Body,
                SECONDARY_TEXT,
            );
        }
    }
    canvas.into_picture()
}

fn axis_name(target: Target) -> &'static str {
    match target {
        Target::ViewsPerSubscriber => "Views per subscriber",
        Target::Views => "Views",
        Target::Subscribers => "Subscribers",
    }
}

fn draw(canvas: &mut Canvas, target: Target, labels: &[f64], bins: &Bins) {
    let quantile = |part| short(at_quantile(labels, part));
    let median = at_quantile(labels, 0.5);
    let summary = format!(
        "median {}, quartiles {} and {}, range {} to {}",
        short(median),
        quantile(0.25),
        quantile(0.75),
        quantile(0.0),
        quantile(1.0)
    );
    canvas.draw_text(&summary, LEFT, 58, TextAlign::Left, Font::Body, SECONDARY_TEXT);

    let highest = bins.items.iter().copied().max().unwrap_or(1).max(1);
    for items in item_ticks(highest) {
        let y = BOTTOM - bar_height(items, highest);
        canvas.fill_rect(LEFT, y, RIGHT - LEFT, 1, GRID);
        canvas.draw_text(
            &short(items as f64),
            LEFT - 12,
            y - 7,
            TextAlign::Right,
            Font::Body,
            SECONDARY_TEXT,
        );
    }
    for (index, items) in (0_u32..).zip(&bins.items) {
        let height = bar_height(*items, highest);
        canvas.fill_rect(LEFT + index * BAR_WIDTH + 1, BOTTOM - height, BAR_WIDTH - 2, height, ACCENT);
    }
    canvas.fill_rect(LEFT, BOTTOM, RIGHT - LEFT, 1, SECONDARY_TEXT);
    for (x, label) in label_ticks(bins) {
        canvas.fill_rect(x, BOTTOM, 1, 7, SECONDARY_TEXT);
        canvas.draw_text(&short(label), x, BOTTOM + 13, TextAlign::Center, Font::Body, TEXT);
    }
    let axis = format!("{}, scaled by ln(1 + label)", axis_name(target).to_lowercase());
    canvas.draw_text(&axis, LEFT.midpoint(RIGHT), BOTTOM + 42, TextAlign::Center, Font::Body, SECONDARY_TEXT);
    canvas.draw_text("thumbnails", LEFT - 12, TOP - 28, TextAlign::Right, Font::Body, SECONDARY_TEXT);

    let x = label_x(bins, median);
    canvas.fill_rect(x, TOP - 12, 2, PLOT_HEIGHT + 12, TEXT);
    let (x, align) =
        if x < LEFT.midpoint(RIGHT) { (x + 8, TextAlign::Left) } else { (x - 6, TextAlign::Right) };
    canvas.draw_text(&format!("median {}", short(median)), x, TOP - 15, align, Font::Bold, TEXT);
}

fn bar_height(items: u64, highest: u64) -> u32 {
    (items as f64 / highest as f64 * f64::from(PLOT_HEIGHT)).round() as u32
}

/// Returns the x coordinate of a label.
fn label_x(bins: &Bins, label: f64) -> u32 {
    let fraction = (Transform::Log1p.apply(label) - bins.low) / (bins.width * f64::from(BARS));
    LEFT + (fraction.clamp(0.0, 1.0) * f64::from(RIGHT - LEFT)).round() as u32
}

/// Returns round item counts above 0: three to six of them if there are enough items.
fn item_ticks(highest: u64) -> Vec<u64> {
    let rough = (highest / 5).max(1);
    let power = 10_u64.pow(rough.ilog10());
    let step = [1, 2, 5, 10].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    (1..=highest / step).map(|number| number * step).collect()
}

/// Returns round labels with their x coordinates: as many as fit, the roundest first, or the two ends of the
/// axis.
fn label_ticks(bins: &Bins) -> Vec<(u32, f64)> {
    let low = Transform::Log1p.invert(bins.low);
    let high = Transform::Log1p.invert(bins.low + bins.width * f64::from(BARS));
    let powers = |factor: f64| (-2..=13).map(move |power| factor * 10_f64.powi(power));
    let round = std::iter::once(0.0).chain([1.0, 3.0, 2.0, 5.0].into_iter().flat_map(powers));
    let mut ticks: Vec<(u32, f64)> = Vec::new();
    for label in round.filter(|label| (low..=high).contains(label)) {
        let x = label_x(bins, label);
        if ticks.iter().all(|(other, _)| other.abs_diff(x) >= TICK_DISTANCE) {
            ticks.push((x, label));
        }
    }
    if ticks.len() < 2 {
        ticks = vec![(LEFT, low), (RIGHT, high)];
    }
    ticks
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;

    fn draw_image(target: Target, labels: &[f64]) -> RgbImage {
        let picture = histogram(target, labels);
        RgbImage::from_raw(picture.width, picture.height, picture.rgb).unwrap()
    }

    /// Returns the height of each bar in pixels.
    fn bar_heights(picture: &RgbImage) -> Vec<u32> {
        // Off centre, since the median line may cross the middle of a bar.
        let x = |bar: u32| LEFT + bar * BAR_WIDTH + 4;
        let pixels =
            |bar: u32| (0..HEIGHT).filter(|y| picture.get_pixel(x(bar), *y).0 == ACCENT).count() as u32;
        (0..BARS).map(pixels).collect()
    }

    #[test]
    fn bar_heights_are_proportional_to_counts() {
        // ln(1 + label) from 0 to 5.2: one label in the first bar, 30 in the tenth, 60 in the last.
        let label = |bar: f64| Transform::Log1p.invert((bar + 0.3) / 10.0);
        let mut labels = vec![0.0];
        labels.extend([label(9.0); 30]);
        labels.extend([label(51.0); 59]);
        labels.push(Transform::Log1p.invert(5.2));
        let picture = draw_image(Target::ViewsPerSubscriber, &labels);
        assert_eq!(picture.dimensions(), (WIDTH, HEIGHT));
        let bars = bar_heights(&picture);
        assert_eq!((bars[9], bars[51]), (PLOT_HEIGHT / 2, PLOT_HEIGHT));
        assert_eq!(bars[0], (f64::from(PLOT_HEIGHT) / 60.0).round() as u32);
        assert_eq!(bars.iter().filter(|pixels| **pixels > 0).count(), 3);
    }

    #[test]
    fn edges_stay_blank() {
        let wide: Vec<f64> = (0..4000).map(|n| Transform::Log1p.invert(f64::from(n) / 130.0)).collect();
        for labels in [&wide[..], &[0.5; 7], &[1e15, 1e15 + 1.0], &[]] {
            for target in Target::ALL {
                let picture = draw_image(target, labels);
                let edge = |x: u32, y: u32| x < 8 || y < 8 || x >= WIDTH - 8 || y >= HEIGHT - 8;
                let clean =
                    picture.enumerate_pixels().all(|(x, y, pixel)| !edge(x, y) || pixel.0 == BACKGROUND);
                assert!(clean, "{target}, {} labels", labels.len());
            }
        }
    }

    #[test]
    fn ticks_are_round_and_do_not_overlap() {
        let labels: Vec<f64> = (0..=100).map(|n| Transform::Log1p.invert(f64::from(n) / 10.0)).collect();
        let ticks = label_ticks(&bins(&labels, BARS as usize).unwrap());
        assert!(ticks.len() > 6, "{ticks:?}");
        for (index, (x, label)) in ticks.iter().enumerate() {
            assert!(
                ticks[index + 1..].iter().all(|(other, _)| other.abs_diff(*x) >= TICK_DISTANCE),
                "{ticks:?}"
            );
            assert!(*label == 0.0 || ["1", "2", "3", "5"].contains(&&format!("{label:e}")[..1]), "{label}");
        }
        let same = label_ticks(&bins(&[7.0, 7.0], BARS as usize).unwrap());
        assert_eq!(same.len(), 2);
        assert_eq!(item_ticks(93), [20, 40, 60, 80]);
        assert_eq!(item_ticks(3), [1, 2, 3]);
        assert_eq!(item_ticks(100), [20, 40, 60, 80, 100]);
    }
}
