//! How the labels of a dataset are distributed, as a picture.
//!
//! Owns the axes: labels lie on `ln(1 + label)` and are written in raw units, items lie on a linear axis from 0.

use images::{
    canvas::{At, Canvas, Letters},
    picture::Picture,
};

use super::{
    colours::{ACCENT, FAINT_INK, INK, PAPER, RULE},
    number_text::{grouped, short},
};
use crate::{
    check::labels::{Bins, at_quantile, bins},
    target::{Target, Transform},
};

const WIDTH: u32 = 1200;
const HEIGHT: u32 = 640;
/// Where the bars stand.
const LEFT: u32 = 112;
const TOP: u32 = 124;
const BAR_WIDTH: u32 = 20;
const BARS: u32 = 52;
const BARS_HEIGHT: u32 = 432;
const RIGHT: u32 = LEFT + BARS * BAR_WIDTH;
const BOTTOM: u32 = TOP + BARS_HEIGHT;
/// Least distance between the middles of two numbers below the bars.
const APART: u32 = 64;

/// Draws the distribution of labels, which are in order.
#[must_use]
pub fn histogram(target: Target, labels: &[f64]) -> Picture {
    let mut canvas = Canvas::new(WIDTH, HEIGHT, PAPER);
    let title = format!("{} of {} thumbnails", what(target), grouped(labels.len() as u64));
    canvas.write(&title, LEFT, 28, At::Left, Letters::Title, INK);
    match bins(labels, BARS as usize) {
        Some(bins) => draw(&mut canvas, target, labels, &bins),
        None => {
            canvas.write("no item has a label for this target", LEFT, 60, At::Left, Letters::Text, FAINT_INK);
        }
    }
    canvas.into_picture()
}

fn what(target: Target) -> &'static str {
    match target {
        Target::ViewsPerSubscriber => "Views per subscriber",
        Target::Views => "Views",
        Target::Subscribers => "Subscribers",
    }
}

fn draw(canvas: &mut Canvas, target: Target, labels: &[f64], bins: &Bins) {
    let quantile = |part| short(at_quantile(labels, part));
    let middle = at_quantile(labels, 0.5);
    let summary = format!(
        "median {}, half of them from {} to {}, all from {} to {}",
        short(middle),
        quantile(0.25),
        quantile(0.75),
        quantile(0.0),
        quantile(1.0)
    );
    canvas.write(&summary, LEFT, 58, At::Left, Letters::Text, FAINT_INK);

    let most = bins.items.iter().copied().max().unwrap_or(1).max(1);
    for items in steps(most) {
        let y = BOTTOM - height(items, most);
        canvas.fill(LEFT, y, RIGHT - LEFT, 1, RULE);
        canvas.write(&short(items as f64), LEFT - 12, y - 7, At::Right, Letters::Text, FAINT_INK);
    }
    for (at, items) in (0_u32..).zip(&bins.items) {
        let bar = height(*items, most);
        canvas.fill(LEFT + at * BAR_WIDTH + 1, BOTTOM - bar, BAR_WIDTH - 2, bar, ACCENT);
    }
    canvas.fill(LEFT, BOTTOM, RIGHT - LEFT, 1, FAINT_INK);
    for (x, label) in ticks(bins) {
        canvas.fill(x, BOTTOM, 1, 7, FAINT_INK);
        canvas.write(&short(label), x, BOTTOM + 13, At::Middle, Letters::Text, INK);
    }
    let axis = format!("{}, on a scale of ln(1 + label)", what(target).to_lowercase());
    canvas.write(&axis, LEFT.midpoint(RIGHT), BOTTOM + 42, At::Middle, Letters::Text, FAINT_INK);
    canvas.write("thumbnails", LEFT - 12, TOP - 28, At::Right, Letters::Text, FAINT_INK);

    let x = place(bins, middle);
    canvas.fill(x, TOP - 12, 2, BARS_HEIGHT + 12, INK);
    let (x, at) = if x < LEFT.midpoint(RIGHT) { (x + 8, At::Left) } else { (x - 6, At::Right) };
    canvas.write(&format!("median {}", short(middle)), x, TOP - 15, at, Letters::Heavy, INK);
}

/// Height of a bar.
fn height(items: u64, most: u64) -> u32 {
    (items as f64 / most as f64 * f64::from(BARS_HEIGHT)).round() as u32
}

/// Where a label lies between left and right.
fn place(bins: &Bins, label: f64) -> u32 {
    let along = (Transform::Log1p.apply(label) - bins.low) / (bins.width * f64::from(BARS));
    LEFT + (along.clamp(0.0, 1.0) * f64::from(RIGHT - LEFT)).round() as u32
}

/// Round numbers of items above 0, three to six of them where there are so many.
fn steps(most: u64) -> Vec<u64> {
    let rough = (most / 5).max(1);
    let power = 10_u64.pow(rough.ilog10());
    let step = [1, 2, 5, 10].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    (1..=most / step).map(|number| number * step).collect()
}

/// Round labels with their places, as many as have room, the roundest first; where none is, both ends.
fn ticks(bins: &Bins) -> Vec<(u32, f64)> {
    let low = Transform::Log1p.invert(bins.low);
    let high = Transform::Log1p.invert(bins.low + bins.width * f64::from(BARS));
    let powers = |factor: f64| (-2..=13).map(move |power| factor * 10_f64.powi(power));
    let round = std::iter::once(0.0).chain([1.0, 3.0, 2.0, 5.0].into_iter().flat_map(powers));
    let mut ticks: Vec<(u32, f64)> = Vec::new();
    for label in round.filter(|label| (low..=high).contains(label)) {
        let x = place(bins, label);
        if ticks.iter().all(|(other, _)| other.abs_diff(x) >= APART) {
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

    fn drawn(target: Target, labels: &[f64]) -> RgbImage {
        let picture = histogram(target, labels);
        RgbImage::from_raw(picture.width, picture.height, picture.rgb).unwrap()
    }

    /// Pixels of the accent in the middle of each bar.
    fn bars(picture: &RgbImage) -> Vec<u32> {
        // Beside the line of the median, which may stand in the middle of a bar.
        let x = |bar: u32| LEFT + bar * BAR_WIDTH + 4;
        let pixels =
            |bar: u32| (0..HEIGHT).filter(|y| picture.get_pixel(x(bar), *y).0 == ACCENT).count() as u32;
        (0..BARS).map(pixels).collect()
    }

    #[test]
    fn bars_are_as_high_as_their_counts() {
        // From 0 to 5.2 in equal steps of ln(1 + label): one in the first bar, 30 in the tenth, 60 in the last.
        let label = |bar: f64| Transform::Log1p.invert((bar + 0.3) / 10.0);
        let mut labels = vec![0.0];
        labels.extend([label(9.0); 30]);
        labels.extend([label(51.0); 59]);
        labels.push(Transform::Log1p.invert(5.2));
        let picture = drawn(Target::ViewsPerSubscriber, &labels);
        assert_eq!(picture.dimensions(), (WIDTH, HEIGHT));
        let bars = bars(&picture);
        assert_eq!((bars[9], bars[51]), (BARS_HEIGHT / 2, BARS_HEIGHT));
        assert_eq!(bars[0], (f64::from(BARS_HEIGHT) / 60.0).round() as u32);
        assert_eq!(bars.iter().filter(|pixels| **pixels > 0).count(), 3);
    }

    #[test]
    fn nothing_is_cut_off_at_the_edges() {
        let wide: Vec<f64> = (0..4000).map(|n| Transform::Log1p.invert(f64::from(n) / 130.0)).collect();
        for labels in [&wide[..], &[0.5; 7], &[1e15, 1e15 + 1.0], &[]] {
            for target in Target::ALL {
                let picture = drawn(target, labels);
                let edge = |x: u32, y: u32| x < 8 || y < 8 || x >= WIDTH - 8 || y >= HEIGHT - 8;
                let clean = picture.enumerate_pixels().all(|(x, y, at)| !edge(x, y) || at.0 == PAPER);
                assert!(clean, "{target}, {} labels", labels.len());
            }
        }
    }

    #[test]
    fn ticks_are_round_and_apart() {
        let labels: Vec<f64> = (0..=100).map(|n| Transform::Log1p.invert(f64::from(n) / 10.0)).collect();
        let ticks = ticks(&bins(&labels, BARS as usize).unwrap());
        assert!(ticks.len() > 6, "{ticks:?}");
        for (at, (x, label)) in ticks.iter().enumerate() {
            assert!(ticks[at + 1..].iter().all(|(other, _)| other.abs_diff(*x) >= APART), "{ticks:?}");
            assert!(*label == 0.0 || ["1", "2", "3", "5"].contains(&&format!("{label:e}")[..1]), "{label}");
        }
        let same = super::ticks(&bins(&[7.0, 7.0], BARS as usize).unwrap());
        assert_eq!(same.len(), 2);
        assert_eq!(steps(93), [20, 40, 60, 80]);
        assert_eq!(steps(3), [1, 2, 3]);
        assert_eq!(steps(100), [20, 40, 60, 80, 100]);
    }
}
