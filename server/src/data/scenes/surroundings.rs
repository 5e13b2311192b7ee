//! The table and what is behind it: where rays meet them and what colour they have.

use super::{
    scene::{Background, Light, Table, TableKind},
    vector::{Vec3, floor, fraction, vec3},
};

const THICKNESS: f32 = 0.28;
/// How far the room's panels are from the table.
const PANEL_DISTANCE: f32 = 2.6;

impl Table {
    #[inline]
    fn local(&self, v: Vec3) -> Vec3 {
        let (cos, sin) = self.turn;
        vec3(cos * v.x + sin * v.y, cos * v.y - sin * v.x, v.z)
    }

    /// Whether a disc lies wholly on the table.
    pub(crate) fn has_room(&self, centre: Vec3, radius: f32) -> bool {
        let p = self.local(centre);
        p.x.abs() + radius < self.half.0 && p.y.abs() + radius < self.half.1
    }

    /// Distance to the slab and the unit normal there.
    #[inline]
    pub(crate) fn crossing(&self, origin: Vec3, direction: Vec3) -> Option<(f32, Vec3)> {
        if direction.z < 0.0 && origin.z > 0.0 {
            let t = -origin.z / direction.z;
            let p = self.local(origin + direction * t);
            if p.x.abs() <= self.half.0 && p.y.abs() <= self.half.1 {
                return Some((t, vec3(0.0, 0.0, 1.0)));
            }
        }
        self.side_crossing(origin, direction)
    }

    fn side_crossing(&self, origin: Vec3, direction: Vec3) -> Option<(f32, Vec3)> {
        let (o, d) = (self.local(origin), self.local(direction));
        let (cos, sin) = self.turn;
        let mut best: Option<(f32, Vec3)> = None;
        let sides = [
            (
                o.x,
                d.x,
                self.half.0,
                o.y,
                d.y,
                self.half.1,
                vec3(cos, sin, 0.0),
            ),
            (
                o.y,
                d.y,
                self.half.1,
                o.x,
                d.x,
                self.half.0,
                vec3(-sin, cos, 0.0),
            ),
        ];
        for (a, da, half_a, b, db, half_b, axis) in sides {
            if da == 0.0 {
                continue;
            }
            let face = -half_a * da.signum();
            let t = (face - a) / da;
            let z = o.z + t * d.z;
            let hits = t > 1e-3 && (b + t * db).abs() <= half_b && (-THICKNESS..=0.0).contains(&z);
            if hits && best.is_none_or(|(nearest, _)| t < nearest) {
                best = Some((t, axis * -da.signum()));
            }
        }
        best
    }

    /// Colour of the table's material at a point.
    pub(crate) fn albedo(&self, point: Vec3) -> Vec3 {
        let p = self.local(point);
        // The sides continue the pattern of the top.
        let (x, y) = (p.x, p.y + p.z);
        let seed = self.seed;
        match self.kind {
            TableKind::Wood => {
                let plank = floor(y / 0.85);
                let tone = 0.88 + 0.24 * lattice(plank as i32, 7, seed);
                let shift = 40.0 * lattice(plank as i32, 3, seed);
                let wave = noise(x * 0.5 + shift, y * 2.5, seed);
                let grain = noise(x * 0.9 + shift, y * 16.0 + wave * 5.0, seed ^ 1);
                let gap = (fraction(y / 0.85) - 0.5).abs();
                let seam = if gap > 0.485 { 0.62 } else { 1.0 };
                self.colour * (tone * (0.80 + 0.30 * grain) * seam)
            }
            TableKind::Stone => {
                let coarse = noise(x * 2.0, y * 2.0, seed);
                let fine = noise(x * 14.0, y * 14.0, seed ^ 1);
                self.colour * (0.80 + 0.20 * coarse + 0.20 * fine)
            }
            TableKind::Marble => {
                let bend = noise(x * 1.1, y * 1.1, seed) + 0.5 * noise(x * 2.6, y * 2.6, seed ^ 1);
                let vein = ((x * 0.9 + y * 0.5 + bend * 3.2).sin()).abs();
                let vein = 1.0 - (1.0 - vein).powi(6) * 0.38;
                self.colour * (vein * (0.95 + 0.06 * bend))
            }
            TableKind::Cloth => {
                let fold = noise(x * 0.8, y * 0.8, seed);
                let weave = noise(x * 22.0, y * 22.0, seed ^ 1);
                self.colour * (0.88 + 0.10 * fold + 0.10 * weave)
            }
        }
    }
}

impl Background {
    /// Colour of the room in a direction; `direction` has unit length.
    #[inline]
    pub(crate) fn colour(&self, direction: Vec3) -> Vec3 {
        let up = smooth_step(-0.75, 0.25, direction.z);
        let side = 0.92 + 0.08 * direction.x;
        self.floor.lerp(self.wall, up) * side
    }

    /// The room with its lamps and panels, as mirrors show it.
    ///
    /// The panels stand around the table at a finite distance, so that even a flat mirror shows
    /// some of their edges.
    #[inline]
    pub(crate) fn reflected(&self, origin: Vec3, direction: Vec3, lights: &[Light]) -> Vec3 {
        let mut colour = self.colour(direction);
        for light in lights {
            let glow = smooth_step(0.955, 0.985, direction.dot(light.towards));
            colour += light.radiance * (3.2 * glow);
        }
        if direction.z < 0.0 {
            return colour * 0.8;
        }
        let seen = (origin + direction * PANEL_DISTANCE).normalized();
        let across = (seen.x * seen.x + seen.y * seen.y).sqrt().max(1e-4);
        let cosine = (0.8 * seen.x + 0.6 * seen.y) / across;
        // The cosine of seven times the angle: seven bright panels with dark gaps.
        let square = cosine * cosine;
        let seven = cosine * (((64.0 * square - 112.0) * square + 56.0) * square - 7.0);
        let panel = smooth_step(-0.35, 0.35, seven) * smooth_step(0.95, 0.80, seen.z);
        let level = 0.32 + 0.95 * panel * smooth_step(0.0, 0.22, seen.z);
        colour * level + Vec3::splat(0.30 * panel * smooth_step(0.02, 0.30, seen.z))
    }
}

/// 0 below `from`, 1 above `to` (or the other way round where `from` is greater), smooth between.
#[inline]
pub(crate) fn smooth_step(from: f32, to: f32, value: f32) -> f32 {
    let t = ((value - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A fixed random value in [0, 1) for every point of a lattice.
#[inline]
fn lattice(x: i32, y: i32, seed: u32) -> f32 {
    let mut h = (x as u32).wrapping_mul(0x85eb_ca6b) ^ (y as u32).wrapping_mul(0xc2b2_ae35) ^ seed;
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    ((h ^ (h >> 15)) >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Smooth noise in [0, 1) with features of unit size.
#[inline]
fn noise(x: f32, y: f32, seed: u32) -> f32 {
    let (fx, fy) = (floor(x), floor(y));
    let (ix, iy) = (fx as i32, fy as i32);
    let (u, v) = (x - fx, y - fy);
    let (u, v) = (u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v));
    let top = lattice(ix, iy, seed) * (1.0 - u) + lattice(ix + 1, iy, seed) * u;
    let bottom = lattice(ix, iy + 1, seed) * (1.0 - u) + lattice(ix + 1, iy + 1, seed) * u;
    top * (1.0 - v) + bottom * v
}
