//! The canvas that sample thumbnails are drawn on.

use images::picture::Picture;
use rand::Rng;

/// A canvas in floating-point colours. Coordinates run from 0 to 1; a radius is a fraction of the height.
pub(super) struct SampleCanvas {
    width: u32,
    height: u32,
    colours: Vec<[f32; 3]>,
}

impl SampleCanvas {
    pub(super) fn new(width: u32, height: u32) -> Self {
        Self { width, height, colours: vec![[0.0; 3]; (width * height) as usize] }
    }

    pub(super) fn aspect(&self) -> f32 {
        self.width as f32 / self.height as f32
    }

    pub(super) fn paint(&mut self, colour: impl Fn(f32, f32) -> [f32; 3]) {
        let (width, height) = (self.width as f32, self.height as f32);
        let rows = self.colours.chunks_exact_mut(self.width as usize);
        for (y, row) in rows.enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                *pixel = colour(x as f32 / width, y as f32 / height);
            }
        }
    }

    pub(super) fn disc(&mut self, x: f32, y: f32, radius: f32, colour: [f32; 3]) {
        let (aspect, radius_x) = (self.aspect(), radius / self.aspect());
        self.fill(x - radius_x, y - radius, 2.0 * radius_x, 2.0 * radius, colour, |pixel_x, pixel_y| {
            let (dx, dy) = ((pixel_x - x) * aspect, pixel_y - y);
            dx * dx + dy * dy <= radius * radius
        });
    }

    pub(super) fn rect(&mut self, x: f32, y: f32, width: f32, height: f32, colour: [f32; 3]) {
        self.fill(x, y, width, height, colour, |_, _| true);
    }

    fn fill(
        &mut self,
        x: f32,
        y: f32,
        width: f32,
        height: f32,
        colour: [f32; 3],
        inside: impl Fn(f32, f32) -> bool,
    ) {
        let (columns, rows) = (self.width as f32, self.height as f32);
        let range = |from: f32, size: f32, limit: u32| {
            let scale = limit as f32;
            ((from * scale).clamp(0.0, scale) as u32)..(((from + size) * scale).clamp(0.0, scale) as u32)
        };
        for row in range(y, height, self.height) {
            for column in range(x, width, self.width) {
                if inside(column as f32 / columns, row as f32 / rows) {
                    self.colours[(row * self.width + column) as usize] = colour;
                }
            }
        }
    }

    pub(super) fn add_noise(&mut self, random: &mut impl Rng) {
        for pixel in &mut self.colours {
            let grain = (random.next_u32() >> 24) as f32 / 255.0 - 0.5;
            *pixel = pixel.map(|value| value + 0.06 * grain);
        }
    }

    /// Blackens `rows` rows at the top and the bottom, like the bars of a 16:9 picture in a 4:3 thumbnail.
    pub(super) fn letterbox(&mut self, rows: u32) {
        let bar = (rows * self.width) as usize;
        let end = self.colours.len() - bar;
        self.colours[..bar].fill([0.0; 3]);
        self.colours[end..].fill([0.0; 3]);
    }

    pub(super) fn into_picture(self) -> Picture {
        let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        let rgb = self.colours.iter().flat_map(|pixel| pixel.map(byte)).collect();
        Picture { width: self.width, height: self.height, rgb }
    }
}
