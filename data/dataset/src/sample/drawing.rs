//! Draws the thumbnail of a [`SampleVideo`] from its visual features.

use images::picture::Picture;
use rand::{Rng, RngExt};

use super::{canvas::SampleCanvas, random::random, video::SampleVideo};

const SIZES: [(u32, u32); 2] = [(480, 360), (1280, 720)];

impl SampleVideo {
    pub(super) fn picture(&self) -> Picture {
        let mut random = random(self.seed, 3, self.number);
        let (width, height) = SIZES[usize::from(random.random_bool(0.3))];
        let mut canvas = SampleCanvas::new(width, height);
        self.paint_background(&mut canvas, &mut random);
        self.paint_face(&mut canvas, &mut random);
        self.paint_lettering(&mut canvas, &mut random);
        canvas.add_noise(&mut random);
        if height == 360 && random.random_bool(0.3) {
            canvas.letterbox(45);
        }
        canvas.into_picture()
    }

    /// Paints a gradient of two hues near the channel's, shifted towards orange by `warmth`, with a horizon.
    fn paint_background(&self, canvas: &mut SampleCanvas, random: &mut impl Rng) {
        let cold = 0.5 + 0.2 * self.channel.hue;
        let hue = cold + (1.06 - cold) * self.warmth;
        let value = 0.12 + 0.85 * self.brightness;
        let (top, bottom) = (hsv(hue, 0.75, value), hsv(hue + 0.06, 0.85, value * 0.7));
        let horizon = random.random_range(0.5..0.8);
        let ground = hsv(hue + 0.12, 0.6, value * 0.5);
        canvas.paint(|_, y| {
            if y > horizon {
                ground
            } else {
                std::array::from_fn(|c| top[c] + (bottom[c] - top[c]) * y / horizon)
            }
        });
        for _ in 0..random.random_range(2..6) {
            let colour =
                hsv(hue + random.random_range(-0.1..0.1), 0.6, value * random.random_range(0.5..1.1));
            let (x, y) = (random.random_range(0.0..1.0), random.random_range(0.0..horizon));
            canvas.disc(x, y, random.random_range(0.02..0.08), colour);
        }
    }

    /// Paints a head with hair, eyes and a mouth to the left or right, scaled by `face`.
    fn paint_face(&self, canvas: &mut SampleCanvas, random: &mut impl Rng) {
        let radius = 0.06 + 0.30 * self.face;
        let x = if random.random_bool(0.5) { 0.28 } else { 0.72 };
        let y = 0.55 + random.random_range(-0.05..0.05);
        let skin = hsv(0.07, random.random_range(0.25..0.6), random.random_range(0.55..0.98));
        canvas.disc(x, y - radius * 0.35, radius * 1.08, hsv(0.08, 0.6, random.random_range(0.08..0.4)));
        canvas.disc(x, y, radius, skin);
        for side in [-1.0, 1.0] {
            canvas.disc(
                x + side * radius * 0.36 / canvas.aspect(),
                y - radius * 0.15,
                radius * 0.14,
                [0.95; 3],
            );
            canvas.disc(
                x + side * radius * 0.36 / canvas.aspect(),
                y - radius * 0.15,
                radius * 0.07,
                [0.05; 3],
            );
        }
        canvas.disc(x, y + radius * 0.45, radius * 0.2, [0.55, 0.1, 0.12]);
    }

    /// Paints rows of rectangles that resemble outlined capitals; their number and height grow with
    /// `lettering`.
    fn paint_lettering(&self, canvas: &mut SampleCanvas, random: &mut impl Rng) {
        let rows = (self.lettering * 3.5) as u32;
        let height = 0.08 + 0.10 * self.lettering;
        let ink = [[1.0, 1.0, 1.0], [1.0, 0.92, 0.1], [1.0, 0.2, 0.15]][random.random_range(0..3)];
        for row in 0..rows {
            let y = 0.06 + row as f32 * (height + 0.04);
            let mut x = 0.05;
            while x < 0.35 + 0.6 * self.lettering {
                let width = random.random_range(0.03..0.07);
                canvas.rect(x - 0.006, y - 0.01, width + 0.012, height + 0.02, [0.02; 3]);
                canvas.rect(x, y, width, height, ink);
                if random.random_bool(0.6) {
                    canvas.rect(x + width * 0.3, y + height * 0.25, width * 0.4, height * 0.2, [0.02; 3]);
                }
                x += width + 0.018;
            }
        }
    }
}

/// Converts HSV to RGB. The hue is a fraction of the colour circle.
fn hsv(hue: f32, saturation: f32, value: f32) -> [f32; 3] {
    [5.0, 3.0, 1.0].map(|offset: f32| {
        let k = (offset + hue.rem_euclid(1.0) * 6.0) % 6.0;
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}
