//! Network coordinates: where a box is in the space of round-trip times, so that the way between
//! two boxes that never met can be guessed. Vivaldi (Dabek, Cox, Kaashoek, Morris: "Vivaldi: a
//! decentralized network coordinate system", SIGCOMM 2004) in three dimensions with heights, the
//! height being the way from the box to the network.

use std::time::Duration;

use guifi_streams::Coordinate;

/// How far one sample may move the own confidence, and the place (both 0.25 in the paper).
const CONFIDENCE: f64 = 0.25;
const STEP: f64 = 0.25;
/// No box is nearer to the network than this, in microseconds.
const LOWEST: f64 = 50.0;
/// Round trips beyond this, in microseconds, say nothing of a community network.
const FARTHEST: f64 = 10e6;

/// A place as it is computed with; microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    at: [f64; 3],
    height: f64,
    /// Relative error, 0 to 1.
    error: f64,
    /// How many samples made it.
    samples: u32,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            at: [0.0; 3],
            height: LOWEST,
            error: 1.0,
            samples: 0,
        }
    }
}

impl Place {
    /// A place from afar; none if no box could be there.
    pub(crate) fn read(said: Coordinate) -> Option<Self> {
        let place = Self {
            at: [said.x_us, said.y_us, said.z_us].map(f64::from),
            height: f64::from(said.height_us),
            error: f64::from(said.error_permille) / 1000.0,
            samples: 0,
        };
        let near = place.at.iter().all(|c| c.abs() <= FARTHEST) && place.height <= FARTHEST;
        (near && place.error <= 1.0).then_some(place)
    }

    /// As others may read it, once it says something.
    pub(crate) fn say(&self) -> Option<Coordinate> {
        #[allow(clippy::cast_possible_truncation)] // bounded by FARTHEST, far below
        let whole = |x: f64| x.round() as i32;
        let natural = |x: f64| u32::try_from(whole(x)).unwrap_or_default();
        (self.samples > 0).then(|| Coordinate {
            x_us: whole(self.at[0]),
            y_us: whole(self.at[1]),
            z_us: whole(self.at[2]),
            height_us: natural(self.height),
            error_permille: natural(self.error * 1000.0),
        })
    }

    /// The round trip between two places.
    pub(crate) fn distance(&self, other: &Self) -> Duration {
        let micros = between(self, other).0 + self.height + other.height;
        Duration::from_secs_f64(micros / 1e6)
    }

    /// Whether it is known well enough to go by.
    pub(crate) fn is_known(&self) -> bool {
        self.samples >= 8 && self.error < 0.5
    }

    /// Learns from a measured round trip to `other`. `chance`, 0 to 1, chooses the direction in
    /// which two boxes in one place part.
    pub(crate) fn learn(&mut self, other: &Self, rtt: Duration, chance: f64) {
        let rtt = (rtt.as_secs_f64() * 1e6).clamp(1.0, FARTHEST);
        let (apart, direction) = between(self, other);
        let guessed = apart + self.height + other.height;
        let weight = self.error / (self.error + other.error).max(1e-6);
        let off = (guessed - rtt).abs() / rtt;
        let pull = CONFIDENCE * weight;
        self.error = (off * pull + self.error * (1.0 - pull)).clamp(0.001, 1.0);
        let force = STEP * weight * (rtt - guessed);
        let direction = direction.unwrap_or_else(|| {
            let up = (chance * 64.0).fract() * 2.0 - 1.0;
            let (sin, cos) = (chance * std::f64::consts::TAU).sin_cos();
            let flat = (1.0 - up * up).sqrt();
            [cos * flat, sin * flat, up]
        });
        // In this space the difference of two places has the sum of their heights.
        let length = guessed.max(1.0);
        for (at, along) in self.at.iter_mut().zip(direction) {
            let share = if apart > 0.0 { apart / length } else { 1.0 };
            *at = (*at + force * along * share).clamp(-FARTHEST, FARTHEST);
        }
        let lift = force * (self.height + other.height) / length;
        self.height = (self.height + lift).clamp(LOWEST, FARTHEST);
        self.samples = self.samples.saturating_add(1);
    }
}

/// The distance without heights, and the direction from `b` to `a` unless both are in one place.
fn between(a: &Place, b: &Place) -> (f64, Option<[f64; 3]>) {
    let way: [f64; 3] = std::array::from_fn(|i| a.at[i] - b.at[i]);
    let apart = way.iter().map(|c| c * c).sum::<f64>().sqrt();
    (apart, (apart > 1.0).then(|| way.map(|c| c / apart)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::print_stdout)]
    use super::*;
    use proptest::prelude::*;

    /// A reproducible sequence in 0..1.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self) -> f64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (self.0 >> 33) as f64 / f64::from(1u32 << 31)
        }
    }

    /// A network of towns: boxes are a radio hop or three (2 ms each, give or take) from their
    /// town, towns 1 to 20 ms from each other along the backbone; each sample is up to a third
    /// slower than the way.
    fn network(boxes: usize, dice: &mut Dice) -> Vec<Vec<f64>> {
        let towns: Vec<[f64; 2]> = (0..12)
            .map(|_| [dice.roll() * 20e3, dice.roll() * 20e3])
            .collect();
        let homes: Vec<_> = (0..boxes)
            .map(|i| (towns[i % 12], 500.0 + dice.roll() * 6e3))
            .collect();
        homes
            .iter()
            .map(|(a, up)| {
                homes
                    .iter()
                    .map(|(b, down)| (a[0] - b[0]).hypot(a[1] - b[1]) + up + down)
                    .collect()
            })
            .collect()
    }

    #[test]
    fn boxes_find_their_places() {
        let mut dice = Dice(7);
        let boxes = 240;
        let network = network(boxes, &mut dice);
        let mut places = vec![Place::default(); boxes];
        let error = |places: &[Place]| {
            let mut errors: Vec<f64> = (0..boxes)
                .flat_map(|i| (0..i).map(move |j| (i, j)))
                .map(|(i, j)| {
                    let guessed = places[i].distance(&places[j]).as_secs_f64() * 1e6;
                    (guessed - network[i][j]).abs() / network[i][j]
                })
                .collect();
            errors.sort_by(f64::total_cmp);
            errors[errors.len() / 2]
        };
        for round in 0..200 {
            for i in 0..boxes {
                // Each knows its eight gossip neighbours only.
                let near = [1, 2, 5, 12, 30, 60, 110, 180];
                let neighbour = (i + near[(dice.roll() * 8.0) as usize]) % boxes;
                let rtt = network[i][neighbour] * (1.0 + dice.roll() / 3.0);
                let other = Place::read(places[neighbour].say().unwrap_or_default()).unwrap();
                let chance = dice.roll();
                places[i].learn(&other, Duration::from_secs_f64(rtt / 1e6), chance);
            }
            if [10, 50].contains(&round) {
                println!("median error after {round} samples: {:.3}", error(&places));
            }
        }
        let error = error(&places);
        println!("median error after 200 samples: {error:.3}");
        assert!(error < 0.25, "{error}");
        let known = places.iter().filter(|p| p.is_known()).count();
        assert!(known > boxes * 9 / 10, "{known}");
    }

    proptest! {
        #[test]
        fn no_peer_can_drive_a_box_mad(said: [i32; 3], height: u32, error: u32, micros: u64, chance in 0.0..1.0) {
            let said = Coordinate { x_us: said[0], y_us: said[1], z_us: said[2], height_us: height, error_permille: error };
            let mut place = Place::default();
            if let Some(other) = Place::read(said) {
                for _ in 0..20 {
                    place.learn(&other, Duration::from_micros(micros % 100_000_000), chance);
                    let said = place.say().unwrap();
                    prop_assert!(Place::read(said).is_some(), "{said:?}");
                }
            }
        }
    }
}
