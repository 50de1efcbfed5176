//! Thumbnail scenes, drawn from the seed at any size.
//!
//! Invariant: equal appearance and size give equal pixels. Scenes are single-colour rows, discs and blocks
//! without noise, so a picture of 1280×720 takes a few milliseconds.

use rand::{Rng, RngExt};

/// The visible features of a thumbnail, from 0 to 1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Appearance {
    hue: f32,
    brightness: f32,
    warmth: f32,
    face: f32,
    lettering: f32,
    /// Horizontal position of the face.
    x: f32,
    ink: usize,
}

impl Appearance {
    pub(super) fn draw(random: &mut impl Rng, hue: f32) -> Self {
        let [brightness, warmth, face, lettering] =
            std::array::from_fn(|_| random.random_range(0.0..1.0_f32));
        let side = if random.random_bool(0.5) { 0.28 } else { 0.72 };
        let x = side + random.random_range(-0.08..0.08);
        Self { hue, brightness, warmth, face, lettering, x, ink: random.random_range(0..3) }
    }

    /// Returns the expected logarithm of views per subscriber, without noise.
    pub(super) fn log_views_per_subscriber(&self) -> f64 {
        f64::from(-1.2 + 1.6 * self.brightness + 0.9 * self.warmth + 1.0 * self.face + 0.9 * self.lettering)
    }

    /// Draws the scene as RGB.
    pub(super) fn paint(&self, width: usize, height: usize) -> Vec<u8> {
        let mut canvas = Canvas { width, height, rgb: vec![0; width * height * 3] };
        let cold = 0.5 + 0.2 * self.hue;
        let hue = cold + (1.06 - cold) * self.warmth;
        let value = 0.12 + 0.85 * self.brightness;
        canvas.gradient(hsv(hue, 0.75, value), hsv(hue + 0.06, 0.85, value * 0.7), 0.65);
        canvas.block([0.0, 0.65, 1.0, 0.35], hsv(hue + 0.12, 0.6, value * 0.5));
        self.paint_face(&mut canvas);
        self.paint_lettering(&mut canvas);
        canvas.rgb
    }

    fn paint_face(&self, canvas: &mut Canvas) {
        let radius = 0.06 + 0.30 * self.face;
        let (x, y) = (self.x, 0.55);
        canvas.disc(x, y - radius * 0.35, radius * 1.08, hsv(0.08, 0.6, 0.2));
        canvas.disc(x, y, radius, hsv(0.07, 0.4, 0.85));
        for side in [-0.2, 0.2] {
            canvas.disc(x + side * radius, y - radius * 0.15, radius * 0.14, [0.95; 3]);
            canvas.disc(x + side * radius, y - radius * 0.15, radius * 0.07, [0.05; 3]);
        }
        canvas.disc(x, y + radius * 0.45, radius * 0.2, [0.55, 0.1, 0.12]);
    }

    /// Draws rows of outlined blocks like capitals, more and taller with more lettering.
    fn paint_lettering(&self, canvas: &mut Canvas) {
        let tall = 0.08 + 0.10 * self.lettering;
        let ink = [[1.0, 1.0, 1.0], [1.0, 0.92, 0.1], [1.0, 0.2, 0.15]][self.ink];
        for row in 0..(self.lettering * 3.5) as u32 {
            let y = 0.06 + row as f32 * (tall + 0.04);
            for column in 0..(4.0 + 10.0 * self.lettering) as u32 {
                let x = 0.05 + column as f32 * 0.062;
                canvas.block([x - 0.006, y - 0.01, 0.057, tall + 0.02], [0.02; 3]);
                canvas.block([x, y, 0.045, tall], ink);
            }
        }
    }
}

/// Adds black bars above and below to fit the height.
pub(super) fn letterbox(rgb: &[u8], width: usize, height: usize) -> Vec<u8> {
    let whole = width * height * 3;
    let bar = (whole - rgb.len()) / 2;
    let mut framed = vec![0; whole];
    framed[bar..bar + rgb.len()].copy_from_slice(rgb);
    framed
}

/// An RGB canvas. Positions run from 0 to 1; radii are in units of the height.
struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    fn gradient(&mut self, top: [f32; 3], bottom: [f32; 3], horizon: f32) {
        let last = horizon * self.height as f32;
        for row in 0..last as usize {
            let at = row as f32 / last;
            self.fill(row, 0..self.width, std::array::from_fn(|c| top[c] + (bottom[c] - top[c]) * at));
        }
    }

    fn block(&mut self, [x, y, wide, tall]: [f32; 4], colour: [f32; 3]) {
        let (width, height) = (self.width as f32, self.height as f32);
        let columns = pixel(x * width, self.width)..pixel((x + wide) * width, self.width);
        for row in pixel(y * height, self.height)..pixel((y + tall) * height, self.height) {
            self.fill(row, columns.clone(), colour);
        }
    }

    fn disc(&mut self, x: f32, y: f32, radius: f32, colour: [f32; 3]) {
        let (x, y) = (x * self.width as f32, y * self.height as f32);
        let radius = radius * self.height as f32;
        for row in pixel(y - radius, self.height)..pixel(y + radius, self.height) {
            let away = row as f32 - y;
            let half = (radius * radius - away * away).max(0.0).sqrt();
            self.fill(row, pixel(x - half, self.width)..pixel(x + half, self.width), colour);
        }
    }

    fn fill(&mut self, row: usize, columns: std::ops::Range<usize>, colour: [f32; 3]) {
        let colour = colour.map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8);
        let row = &mut self.rgb[row * self.width * 3..(row + 1) * self.width * 3];
        for pixel in row[columns.start * 3..columns.end.max(columns.start) * 3].chunks_exact_mut(3) {
            pixel.copy_from_slice(&colour);
        }
    }
}

/// Clamps a coordinate to 0..=limit.
fn pixel(at: f32, limit: usize) -> usize {
    (at.max(0.0) as usize).min(limit)
}

/// Converts HSV to RGB, with the hue in turns.
fn hsv(hue: f32, saturation: f32, value: f32) -> [f32; 3] {
    [5.0, 3.0, 1.0].map(|offset: f32| {
        let k = (offset + hue.rem_euclid(1.0) * 6.0) % 6.0;
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}
