//! The sample dataset: pictures that look a little like thumbnails, with counts that follow from what
//! can be seen.
//!
//! Owns the drawing and the law behind the counts. Invariant: the same count and seed give the same bytes.
//! Views per subscriber rise with bright backgrounds, a large face, big lettering and warm colours, times
//! log-normal noise, so that a head has something to learn even from random features.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use images::{
    encode::{self, EncodeError},
    picture::Picture,
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use serde_json::json;

/// Most thumbnails in one dataset.
pub const MAX_COUNT: u32 = 1_000_000;
/// Videos of one channel.
const VIDEOS_PER_CHANNEL: u32 = 20;
/// The categories of the 2020 project: eating shows, travel, games, politics, beauty.
const CATEGORIES: [&str; 5] = ["먹방", "여행", "게임", "정치", "뷰티"];
const SIZES: [(u32, u32); 2] = [(480, 360), (1280, 720)];
const JPEG_QUALITY: i32 = 85;
/// Names the dataset it was made as, so that the same can be made again over it.
const MARKER: &str = ".subwatch-sample.json";

/// Why no dataset is made.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The count is out of range.
    #[error("{0} thumbnails are not between 1 and {MAX_COUNT}")]
    Count(u32),
    /// The folder holds something else.
    #[error(
        "{0} is not empty and holds no sample with this count and seed: name another folder, or empty it first"
    )]
    NotEmpty(PathBuf),
    /// The system fails.
    #[error("{path}: {error}")]
    System {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A picture cannot be encoded.
    #[error("a picture cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
}

/// Makes a dataset of `count` thumbnails in `folder`, on all cores. `progress` hears how many are done,
/// now and then, from any thread.
///
/// # Errors
/// See [`SampleError`].
pub fn generate(
    folder: &Path,
    count: u32,
    seed: u64,
    progress: impl Fn(u32) + Sync,
) -> Result<(), SampleError> {
    if !(1..=MAX_COUNT).contains(&count) {
        return Err(SampleError::Count(count));
    }
    claim(folder, count, seed)?;
    let thumbnails = folder.join("thumbnails");
    create_folder(&thumbnails)?;
    let (next, done) = (AtomicU32::new(0), AtomicU32::new(0));
    let draw_some = || -> Result<Vec<(u32, String)>, SampleError> {
        let mut rows = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return Ok(rows);
            }
            let video = Video::draw(seed, at);
            write(
                &thumbnails.join(format!("{}.jpg", video.id)),
                &encode::jpeg(&video.picture(), JPEG_QUALITY)?,
            )?;
            rows.push((at, video.row()));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let results: Vec<_> = std::thread::scope(|scope| {
        let drawing: Vec<_> = (0..threads).map(|_| scope.spawn(draw_some)).collect();
        drawing.into_iter().map(|thread| thread.join().expect("drawing does not panic")).collect()
    });
    let mut rows = results.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    rows.sort_unstable();
    let lines: String = rows.into_iter().map(|(_, row)| row + "\n").collect();
    write(&folder.join("metadata.jsonl"), lines.as_bytes())
}

/// Takes an empty folder, or one that holds the same sample already.
fn claim(folder: &Path, count: u32, seed: u64) -> Result<(), SampleError> {
    create_folder(folder)?;
    let marker = folder.join(MARKER);
    let text = json!({"count": count, "seed": seed}).to_string();
    let failed = |error| SampleError::System { path: folder.to_path_buf(), error };
    let empty = fs::read_dir(folder).map_err(failed)?.next().is_none();
    if !empty && fs::read_to_string(&marker).ok().as_deref() != Some(&text) {
        return Err(SampleError::NotEmpty(folder.to_path_buf()));
    }
    write(&marker, text.as_bytes())
}

fn create_folder(path: &Path) -> Result<(), SampleError> {
    fs::create_dir_all(path).map_err(|error| SampleError::System { path: path.to_path_buf(), error })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), SampleError> {
    fs::write(path, bytes).map_err(|error| SampleError::System { path: path.to_path_buf(), error })
}

/// Draws thumbnail `number` of the dataset with this seed.
#[must_use]
pub fn picture(seed: u64, number: u32) -> Picture {
    Video::draw(seed, number).picture()
}

/// A channel: what its videos share.
struct Channel {
    number: u32,
    category: &'static str,
    subscribers: u64,
    /// Favourite hue, in turns.
    hue: f32,
}

impl Channel {
    fn draw(seed: u64, number: u32) -> Self {
        let mut random = random(seed, 1, number);
        let subscribers = (10.5 + 1.6 * gaussian(&mut random)).exp().clamp(100.0, 2e7);
        Self {
            number,
            category: CATEGORIES[(number as usize) % CATEGORIES.len()],
            subscribers: subscribers as u64,
            hue: random.random_range(0.0..1.0),
        }
    }
}

/// A video: what can be seen of it, each from 0 to 1, and what it got.
struct Video {
    seed: u64,
    number: u32,
    id: String,
    channel: Channel,
    views: u64,
    brightness: f32,
    warmth: f32,
    face: f32,
    lettering: f32,
}

impl Video {
    fn draw(seed: u64, number: u32) -> Self {
        let channel = Channel::draw(seed, number / VIDEOS_PER_CHANNEL);
        let mut random = random(seed, 2, number);
        let [brightness, warmth, face, lettering] =
            std::array::from_fn(|_| random.random_range(0.0..1.0_f32));
        let law = -1.2 + 1.6 * brightness + 0.9 * warmth + 1.0 * face + 0.9 * lettering;
        let views_per_subscriber = (f64::from(law) + 0.25 * gaussian(&mut random)).exp();
        let views = (views_per_subscriber * channel.subscribers as f64).round() as u64;
        let id = format!("s{seed}-{number:06}");
        Self { seed, number, id, channel, views, brightness, warmth, face, lettering }
    }

    fn row(&self) -> String {
        let (year, month, day) = (2015 + self.number % 10, 1 + self.number % 12, 1 + self.number % 28);
        json!({
            "file_name": format!("thumbnails/{}.jpg", self.id),
            "video_id": self.id,
            "title": format!("{} video {}", self.channel.category, self.number),
            "channel_id": format!("UC-sample-{:05}", self.channel.number),
            "channel": format!("Channel {}", self.channel.number),
            "category": self.channel.category,
            "subscribers": self.channel.subscribers,
            "views": self.views,
            "published": format!("{year}-{month:02}-{day:02}T12:00:00Z"),
            "crawled_at": "2026-01-01T00:00:00Z",
        })
        .to_string()
    }

    fn picture(&self) -> Picture {
        let mut random = random(self.seed, 3, self.number);
        let (width, height) = SIZES[usize::from(random.random_bool(0.3))];
        let mut canvas = Canvas::new(width, height);
        self.paint_background(&mut canvas, &mut random);
        self.paint_face(&mut canvas, &mut random);
        self.paint_lettering(&mut canvas, &mut random);
        canvas.add_noise(&mut random);
        if height == 360 && random.random_bool(0.3) {
            canvas.letterbox(45);
        }
        canvas.into_picture()
    }

    /// A gradient between two hues near the channel's, pulled towards orange by warmth, with a horizon.
    fn paint_background(&self, canvas: &mut Canvas, random: &mut impl Rng) {
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

    /// A head with hair, eyes and a mouth on one side, as large as the face feature says.
    fn paint_face(&self, canvas: &mut Canvas, random: &mut impl Rng) {
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

    /// Rows of blocks, like outlined capitals; more and taller ones with more lettering.
    fn paint_lettering(&self, canvas: &mut Canvas, random: &mut impl Rng) {
        let rows = (self.lettering * 3.5) as u32;
        let tall = 0.08 + 0.10 * self.lettering;
        let ink = [[1.0, 1.0, 1.0], [1.0, 0.92, 0.1], [1.0, 0.2, 0.15]][random.random_range(0..3)];
        for row in 0..rows {
            let y = 0.06 + row as f32 * (tall + 0.04);
            let mut x = 0.05;
            while x < 0.35 + 0.6 * self.lettering {
                let wide = random.random_range(0.03..0.07);
                canvas.block(x - 0.006, y - 0.01, wide + 0.012, tall + 0.02, [0.02; 3]);
                canvas.block(x, y, wide, tall, ink);
                if random.random_bool(0.6) {
                    canvas.block(x + wide * 0.3, y + tall * 0.25, wide * 0.4, tall * 0.2, [0.02; 3]);
                }
                x += wide + 0.018;
            }
        }
    }
}

/// A picture being drawn; coordinates run from 0 to 1, radii are in heights.
struct Canvas {
    width: u32,
    height: u32,
    colours: Vec<[f32; 3]>,
}

impl Canvas {
    fn new(width: u32, height: u32) -> Self {
        Self { width, height, colours: vec![[0.0; 3]; (width * height) as usize] }
    }

    fn aspect(&self) -> f32 {
        self.width as f32 / self.height as f32
    }

    fn paint(&mut self, colour: impl Fn(f32, f32) -> [f32; 3]) {
        let (width, height) = (self.width as f32, self.height as f32);
        let rows = self.colours.chunks_exact_mut(self.width as usize);
        for (y, row) in rows.enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                *pixel = colour(x as f32 / width, y as f32 / height);
            }
        }
    }

    fn disc(&mut self, x: f32, y: f32, radius: f32, colour: [f32; 3]) {
        let (aspect, radius_x) = (self.aspect(), radius / self.aspect());
        self.fill(x - radius_x, y - radius, 2.0 * radius_x, 2.0 * radius, colour, |at_x, at_y| {
            let (dx, dy) = ((at_x - x) * aspect, at_y - y);
            dx * dx + dy * dy <= radius * radius
        });
    }

    fn block(&mut self, x: f32, y: f32, wide: f32, tall: f32, colour: [f32; 3]) {
        self.fill(x, y, wide, tall, colour, |_, _| true);
    }

    fn fill(
        &mut self,
        x: f32,
        y: f32,
        wide: f32,
        tall: f32,
        colour: [f32; 3],
        inside: impl Fn(f32, f32) -> bool,
    ) {
        let (width, height) = (self.width as f32, self.height as f32);
        let range = |from: f32, size: f32, limit: u32| {
            let scale = limit as f32;
            ((from * scale).clamp(0.0, scale) as u32)..(((from + size) * scale).clamp(0.0, scale) as u32)
        };
        for row in range(y, tall, self.height) {
            for column in range(x, wide, self.width) {
                if inside(column as f32 / width, row as f32 / height) {
                    self.colours[(row * self.width + column) as usize] = colour;
                }
            }
        }
    }

    fn add_noise(&mut self, random: &mut impl Rng) {
        for pixel in &mut self.colours {
            let grain = (random.next_u32() >> 24) as f32 / 255.0 - 0.5;
            *pixel = pixel.map(|value| value + 0.06 * grain);
        }
    }

    /// Blackens `rows` rows at the top and the bottom, as a 16:9 picture in a 4:3 thumbnail has them.
    fn letterbox(&mut self, rows: u32) {
        let bar = (rows * self.width) as usize;
        let end = self.colours.len() - bar;
        self.colours[..bar].fill([0.0; 3]);
        self.colours[end..].fill([0.0; 3]);
    }

    fn into_picture(self) -> Picture {
        let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        let rgb = self.colours.iter().flat_map(|pixel| pixel.map(byte)).collect();
        Picture { width: self.width, height: self.height, rgb }
    }
}

/// A generator for one purpose and one thing, so that drawing in any order gives the same.
#[must_use]
pub fn random(seed: u64, purpose: u32, number: u32) -> ChaCha12Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..12].copy_from_slice(&purpose.to_le_bytes());
    key[12..16].copy_from_slice(&number.to_le_bytes());
    ChaCha12Rng::from_seed(key)
}

/// A normal deviate (Box and Muller 1958).
pub fn gaussian(random: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (random.random_range(f64::EPSILON..1.0), random.random_range(0.0..1.0));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// RGB of a hue in turns, a saturation and a value.
fn hsv(hue: f32, saturation: f32, value: f32) -> [f32; 3] {
    [5.0, 3.0, 1.0].map(|offset: f32| {
        let k = (offset + hue.rem_euclid(1.0) * 6.0) % 6.0;
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::{files::Files, imagefolder::Dataset, target::Target};
    use images::preprocess;

    #[tokio::test]
    async fn the_sample_is_a_dataset_and_repeats_itself() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        generate(&first, 45, 7, |_| ()).unwrap();
        generate(&second, 45, 7, |_| ()).unwrap();
        let files = Files::open(&Url::from_directory_path(&first).unwrap()).unwrap();
        let mut dataset = Dataset::open(&files).await.unwrap();
        assert!(dataset.is_labelled());
        let dataset = dataset.rest().await.unwrap();
        assert_eq!((dataset.items.len(), dataset.rejected.len(), dataset.duplicates.len()), (45, 0, 0));
        for item in &dataset.items {
            let bytes = fs::read(first.join(&item.item)).unwrap();
            assert_eq!(bytes, fs::read(second.join(&item.item)).unwrap());
            preprocess::pixels(&bytes).unwrap();
            assert!(Target::ViewsPerSubscriber.label(item).unwrap() >= 0.0);
        }
        assert_eq!(
            fs::read(first.join("metadata.jsonl")).unwrap(),
            fs::read(second.join("metadata.jsonl")).unwrap()
        );
    }

    #[test]
    fn a_folder_with_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("precious"), b"x").unwrap();
        assert!(matches!(generate(folder.path(), 1, 0, |_| ()), Err(SampleError::NotEmpty(_))));
        let own = folder.path().join("own");
        generate(&own, 2, 0, |_| ()).unwrap();
        generate(&own, 2, 0, |_| ()).unwrap();
        assert!(matches!(generate(&own, 3, 0, |_| ()), Err(SampleError::NotEmpty(_))));
        assert!(matches!(generate(&own, 0, 0, |_| ()), Err(SampleError::Count(0))));
    }
}
