//! Patterns painted on solids: which of the two tones a point of the surface has.

use std::f32::consts::{PI, TAU};

use super::{
    solid,
    vector::{Vec3, floor, fraction, vec3},
    vocabulary::{Pattern, Shape},
};

const STRIPE_PERIOD: f32 = 0.60;
/// Share of a period that keeps the main colour, so that the colour's name stays right.
const STRIPE_MAIN: f32 = 0.58;
const DOT_CELL: f32 = 0.52;
const DOT_RADIUS: f32 = 0.175;

/// Whether the surface point has the pattern's second tone instead of the main colour.
#[inline]
pub(crate) fn is_second_tone(pattern: Pattern, shape: Shape, point: Vec3, normal: Vec3) -> bool {
    match pattern {
        Pattern::Plain => false,
        Pattern::Striped => is_stripe(shape, point),
        Pattern::Checkered => is_dark_square(shape, point),
        Pattern::Dotted => is_dot(shape, point, normal),
    }
}

fn is_stripe(shape: Shape, point: Vec3) -> bool {
    if shape == Shape::Ring {
        let (_, around) = solid::ring_angles(point);
        return fraction(around * (10.0 / TAU)) > STRIPE_MAIN;
    }
    // Slanted planes cut every face of every solid, horizontal ones would miss the tops.
    let along = 0.82 * point.z + 0.42 * point.x + 0.38 * point.y;
    fraction(along / STRIPE_PERIOD) > STRIPE_MAIN
}

fn is_dark_square(shape: Shape, point: Vec3) -> bool {
    let odd = |a: f32, b: f32| (floor(a) as i32 + floor(b) as i32) & 1 == 1;
    match shape {
        Shape::Sphere => {
            let around = point.y.atan2(point.x) * (10.0 / TAU);
            let down = (point.z - 1.0).clamp(-1.0, 1.0).acos() * (5.0 / PI);
            odd(around, down)
        }
        Shape::Ring => {
            let (tube, around) = solid::ring_angles(point);
            odd(around * (12.0 / TAU), tube * (4.0 / TAU))
        }
        Shape::Cube => {
            let half = solid::cube_half();
            let p = (point - vec3(0.0, 0.0, half)) * 0.999 + Vec3::splat(half);
            let cell = 3.0 / (2.0 * half);
            let sum = floor(p.x * cell) + floor(p.y * cell) + floor(p.z * cell);
            sum as i32 & 1 == 1
        }
        Shape::Cylinder | Shape::Cone | Shape::Pyramid => {
            let around = point.y.atan2(point.x) * (8.0 / TAU);
            let radius = point.x.hypot(point.y);
            let on_top = shape == Shape::Cylinder && point.z > 1.699;
            let along = if on_top {
                radius * (2.0 / 0.72)
            } else {
                point.z / 0.425
            };
            odd(around, along)
        }
    }
}

fn is_dot(shape: Shape, point: Vec3, normal: Vec3) -> bool {
    match shape {
        Shape::Sphere => {
            let p = point - vec3(0.0, 0.0, 1.0);
            let polar = p.z.clamp(-1.0, 1.0).acos();
            let band = floor(polar * (6.0 / PI)).min(5.0);
            let middle = (band + 0.5) * (PI / 6.0);
            dot_in_band(band, polar - middle, middle.sin(), p.y.atan2(p.x), 0.2)
        }
        Shape::Ring => {
            let (tube, around) = solid::ring_angles(point);
            let band = floor(tube * (5.0 / TAU));
            let middle = (band + 0.5) * (TAU / 5.0);
            dot_in_band(
                band,
                (tube - middle) * 0.3,
                0.78 + 0.3 * middle.cos(),
                around,
                0.13,
            )
        }
        Shape::Cylinder | Shape::Cone if normal.z.abs() < 0.9 => {
            let band = floor(point.z / DOT_CELL);
            let radius = match shape {
                Shape::Cone => (1.9 - (band + 0.5) * DOT_CELL) * 0.5,
                _ => 0.72,
            };
            let offset = point.z - (band + 0.5) * DOT_CELL;
            dot_in_band(
                band,
                offset,
                radius.max(0.05),
                point.y.atan2(point.x),
                DOT_RADIUS,
            )
        }
        _ => {
            let (a, b) = if normal.z.abs() > 0.9 {
                (point.x, point.y)
            } else if normal.x.abs() > normal.y.abs() {
                (point.y, point.z)
            } else {
                (point.x, point.z)
            };
            let row = floor(b / DOT_CELL);
            let shift = if row as i32 & 1 == 1 { 0.0 } else { 0.5 };
            let u = fraction(a / DOT_CELL + shift) - 0.5;
            let v = fraction(b / DOT_CELL) - 0.5;
            u * u + v * v < (DOT_RADIUS / DOT_CELL) * (DOT_RADIUS / DOT_CELL)
        }
    }
}

/// Dots spread evenly around a band of the given circle radius, every second band shifted.
fn dot_in_band(band: f32, offset: f32, circle: f32, angle: f32, dot: f32) -> bool {
    let count = (circle * TAU / DOT_CELL).round().max(1.0);
    let shift = if band as i32 & 1 == 0 { 0.0 } else { 0.5 };
    let cell = fraction(angle * (count / TAU) + shift) - 0.5;
    let across = cell * (TAU / count) * circle;
    across * across + offset * offset < dot * dot
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Share of the upper surface with the second tone.
    fn share(pattern: Pattern, shape: Shape) -> f32 {
        let (mut second, mut all) = (0, 0);
        for i in 0..60 {
            for j in 0..60 {
                let angle = i as f32 * (TAU / 60.0);
                let outward = vec3(angle.cos(), angle.sin(), 0.0);
                let origin = outward * 4.0
                    + vec3(0.0, 0.0, 0.5 + j as f32 * 0.05)
                    + vec3(-angle.sin(), angle.cos(), 0.0) * (0.02 * (j as f32 - 30.0));
                let direction = (-outward + vec3(0.0, 0.0, -0.35)).normalized();
                if let Some(t) = solid::first_crossing(shape, origin, direction, 1e-3) {
                    let point = origin + direction * t;
                    let normal = solid::normal(shape, point);
                    all += 1;
                    second += u32::from(is_second_tone(pattern, shape, point, normal));
                }
            }
        }
        assert!(all > 200, "{shape:?}");
        second as f32 / all as f32
    }

    #[test]
    fn every_pattern_leaves_the_main_colour_and_shows() {
        for &shape in Shape::ALL {
            assert_eq!(share(Pattern::Plain, shape), 0.0);
            for pattern in [Pattern::Striped, Pattern::Checkered, Pattern::Dotted] {
                let share = share(pattern, shape);
                assert!(
                    (0.12..0.62).contains(&share),
                    "{pattern:?} {shape:?} {share}"
                );
            }
        }
    }
}
