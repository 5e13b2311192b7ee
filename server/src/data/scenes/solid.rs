//! Solids in their own frame: unit size, standing on z = 0 about the vertical axis.

use super::{
    vector::{Vec3, vec3},
    vocabulary::Shape,
};

const CUBE_HALF: f32 = 0.78;
const CYLINDER_RADIUS: f32 = 0.72;
const CYLINDER_HEIGHT: f32 = 1.7;
const CONE_RADIUS: f32 = 0.95;
const CONE_HEIGHT: f32 = 1.9;
const RING_MAJOR: f32 = 0.78;
const RING_MINOR: f32 = 0.30;
const PYRAMID_HALF: f32 = 0.92;
const PYRAMID_HEIGHT: f32 = 1.65;

/// Marching stops this close to the surface of the ring.
const MARCH_EPSILON: f32 = 1.5e-3;
const MARCH_STEPS: usize = 48;

/// Height of the centre of the bounding sphere, and its radius.
pub(crate) fn bounding_sphere(shape: Shape) -> (f32, f32) {
    match shape {
        Shape::Sphere => (1.0, 1.0),
        Shape::Cube => (CUBE_HALF, CUBE_HALF * 3f32.sqrt()),
        Shape::Cylinder => {
            let half = CYLINDER_HEIGHT / 2.0;
            (half, CYLINDER_RADIUS.hypot(half))
        }
        Shape::Cone => circumscribed(CONE_RADIUS, CONE_HEIGHT),
        Shape::Ring => (RING_MINOR, RING_MAJOR + RING_MINOR),
        Shape::Pyramid => circumscribed(PYRAMID_HALF * 2f32.sqrt(), PYRAMID_HEIGHT),
    }
}

fn circumscribed(radius: f32, height: f32) -> (f32, f32) {
    let centre = (height * height - radius * radius) / (2.0 * height);
    (centre, height - centre)
}

/// Radius of the upright cylinder around the solid: two solids whose discs do not meet on the
/// table do not intersect.
pub(crate) fn footprint(shape: Shape) -> f32 {
    match shape {
        Shape::Sphere => 1.0,
        Shape::Cube => CUBE_HALF * 2f32.sqrt(),
        Shape::Cylinder => CYLINDER_RADIUS,
        Shape::Cone => CONE_RADIUS,
        Shape::Ring => RING_MAJOR + RING_MINOR,
        Shape::Pyramid => PYRAMID_HALF * 2f32.sqrt(),
    }
}

/// The first crossing of the surface after `t_min`, from outside or from inside.
#[inline]
pub(crate) fn first_crossing(
    shape: Shape,
    origin: Vec3,
    direction: Vec3,
    t_min: f32,
) -> Option<f32> {
    match shape {
        Shape::Sphere => {
            let o = origin - vec3(0.0, 0.0, 1.0);
            let (near, far) = roots(direction.dot(direction), o.dot(direction), o.dot(o) - 1.0)?;
            pick(near, far, t_min)
        }
        Shape::Cube => {
            let o = origin - vec3(0.0, 0.0, CUBE_HALF);
            let (x, y, z) = (
                slab(o.x, direction.x, CUBE_HALF),
                slab(o.y, direction.y, CUBE_HALF),
                slab(o.z, direction.z, CUBE_HALF),
            );
            interval(x.0.max(y.0).max(z.0), x.1.min(y.1).min(z.1), t_min)
        }
        Shape::Cylinder => {
            let half = CYLINDER_HEIGHT / 2.0;
            let (bottom, top) = slab(origin.z - half, direction.z, half);
            let a = direction.x * direction.x + direction.y * direction.y;
            let b = origin.x * direction.x + origin.y * direction.y;
            let c = origin.x * origin.x + origin.y * origin.y - CYLINDER_RADIUS * CYLINDER_RADIUS;
            let (near, far) = if a < 1e-9 {
                (c <= 0.0).then_some((f32::NEG_INFINITY, f32::INFINITY))?
            } else {
                roots(a, b, c)?
            };
            interval(near.max(bottom), far.min(top), t_min)
        }
        Shape::Cone => cone_crossing(origin, direction, t_min),
        Shape::Ring => ring_crossing(origin, direction, t_min),
        Shape::Pyramid => pyramid_crossing(origin, direction, t_min),
    }
}

/// The outward unit normal at a point of the surface.
#[inline]
pub(crate) fn normal(shape: Shape, point: Vec3) -> Vec3 {
    match shape {
        Shape::Sphere => (point - vec3(0.0, 0.0, 1.0)).normalized(),
        Shape::Cube => dominant_axis(point - vec3(0.0, 0.0, CUBE_HALF)),
        Shape::Cylinder => {
            let half = CYLINDER_HEIGHT / 2.0;
            let z = point.z - half;
            let side = (point.x * point.x + point.y * point.y).sqrt() - CYLINDER_RADIUS;
            if z.abs() - half > side {
                vec3(0.0, 0.0, z.signum())
            } else {
                vec3(point.x, point.y, 0.0).normalized()
            }
        }
        Shape::Cone => {
            if point.z < 1e-3 {
                return vec3(0.0, 0.0, -1.0);
            }
            let slope = CONE_RADIUS / CONE_HEIGHT;
            vec3(
                point.x,
                point.y,
                slope * slope * (CONE_HEIGHT - point.z) + 1e-6,
            )
            .normalized()
        }
        Shape::Ring => {
            let axis = (point.x * point.x + point.y * point.y).sqrt().max(1e-6);
            let core =
                vec3(point.x, point.y, 0.0) * (RING_MAJOR / axis) + vec3(0.0, 0.0, RING_MINOR);
            (point - core).normalized()
        }
        Shape::Pyramid => {
            if point.z < 1e-3 {
                return vec3(0.0, 0.0, -1.0);
            }
            let side = if point.x.abs() > point.y.abs() {
                vec3(point.x.signum() * PYRAMID_HEIGHT, 0.0, PYRAMID_HALF)
            } else {
                vec3(0.0, point.y.signum() * PYRAMID_HEIGHT, PYRAMID_HALF)
            };
            side.normalized()
        }
    }
}

/// The signed distance from the surface of the ring.
#[inline]
fn ring_distance(point: Vec3) -> f32 {
    let axis = (point.x * point.x + point.y * point.y).sqrt() - RING_MAJOR;
    let z = point.z - RING_MINOR;
    (axis * axis + z * z).sqrt() - RING_MINOR
}

/// Angle about the core circle of the ring, and about the vertical.
#[inline]
pub(crate) fn ring_angles(point: Vec3) -> (f32, f32) {
    let axis = (point.x * point.x + point.y * point.y).sqrt() - RING_MAJOR;
    ((point.z - RING_MINOR).atan2(axis), point.y.atan2(point.x))
}

/// Half the side of the cube, for patterns that divide its faces.
pub(crate) const fn cube_half() -> f32 {
    CUBE_HALF
}

#[inline]
fn roots(a: f32, half_b: f32, c: f32) -> Option<(f32, f32)> {
    let discriminant = half_b * half_b - a * c;
    if discriminant < 0.0 {
        return None;
    }
    let root = discriminant.sqrt();
    Some(((-half_b - root) / a, (-half_b + root) / a))
}

#[inline]
fn slab(origin: f32, direction: f32, half: f32) -> (f32, f32) {
    // A direction of exactly zero would give NaN for an origin on the face.
    let inverse = 1.0
        / if direction.abs() < 1e-12 {
            1e-12
        } else {
            direction
        };
    let (a, b) = ((-half - origin) * inverse, (half - origin) * inverse);
    (a.min(b), a.max(b))
}

#[inline]
fn interval(near: f32, far: f32, t_min: f32) -> Option<f32> {
    if near > far {
        None
    } else {
        pick(near, far, t_min)
    }
}

#[inline]
fn pick(near: f32, far: f32, t_min: f32) -> Option<f32> {
    if near > t_min {
        Some(near)
    } else if far > t_min {
        Some(far)
    } else {
        None
    }
}

#[inline]
fn cone_crossing(origin: Vec3, direction: Vec3, t_min: f32) -> Option<f32> {
    let slope = (CONE_RADIUS / CONE_HEIGHT) * (CONE_RADIUS / CONE_HEIGHT);
    let below_tip = CONE_HEIGHT - origin.z;
    let a =
        direction.x * direction.x + direction.y * direction.y - slope * direction.z * direction.z;
    let b = origin.x * direction.x + origin.y * direction.y + slope * below_tip * direction.z;
    let c = origin.x * origin.x + origin.y * origin.y - slope * below_tip * below_tip;

    let mut best = f32::INFINITY;
    let mut offer = |t: f32| {
        if t > t_min && t < best {
            best = t;
        }
    };
    let on_side = |t: f32| {
        let z = origin.z + t * direction.z;
        (0.0..=CONE_HEIGHT).contains(&z)
    };
    if a.abs() < 1e-7 {
        let t = -c / (2.0 * b);
        if on_side(t) {
            offer(t);
        }
    } else if let Some((first, second)) = roots(a, b, c) {
        if on_side(first) {
            offer(first);
        }
        if on_side(second) {
            offer(second);
        }
    }
    if direction.z.abs() > 1e-9 {
        let t = -origin.z / direction.z;
        let (x, y) = (origin.x + t * direction.x, origin.y + t * direction.y);
        if x * x + y * y <= CONE_RADIUS * CONE_RADIUS {
            offer(t);
        }
    }
    best.is_finite().then_some(best)
}

#[inline]
fn pyramid_crossing(origin: Vec3, direction: Vec3, t_min: f32) -> Option<f32> {
    let (mut near, mut far) = (f32::NEG_INFINITY, f32::INFINITY);
    let mut clip = |height: f32, slope: f32| {
        if slope.abs() < 1e-9 {
            if height > 0.0 {
                far = f32::NEG_INFINITY;
            }
        } else if slope < 0.0 {
            near = near.max(-height / slope);
        } else {
            far = far.min(-height / slope);
        }
    };
    let (h, b) = (PYRAMID_HEIGHT, PYRAMID_HALF);
    for sign in [-1.0, 1.0] {
        clip(
            sign * h * origin.x + b * origin.z - h * b,
            sign * h * direction.x + b * direction.z,
        );
        clip(
            sign * h * origin.y + b * origin.z - h * b,
            sign * h * direction.y + b * direction.z,
        );
    }
    clip(-origin.z, -direction.z);
    interval(near, far, t_min)
}

fn ring_crossing(origin: Vec3, direction: Vec3, t_min: f32) -> Option<f32> {
    let outer = RING_MAJOR + RING_MINOR;
    let (bottom, top) = slab(origin.z - RING_MINOR, direction.z, RING_MINOR);
    let a = direction.x * direction.x + direction.y * direction.y;
    let (near, far) = if a < 1e-9 {
        (f32::NEG_INFINITY, f32::INFINITY)
    } else {
        let b = origin.x * direction.x + origin.y * direction.y;
        roots(
            a,
            b,
            origin.x * origin.x + origin.y * origin.y - outer * outer,
        )?
    };
    let end = far.min(top);
    let mut t = near.max(bottom).max(t_min);
    if t > end {
        return None;
    }
    let in_hole = |t: f32| {
        let (x, y) = (origin.x + t * direction.x, origin.y + t * direction.y);
        x * x + y * y < (RING_MAJOR - RING_MINOR) * (RING_MAJOR - RING_MINOR)
    };
    if in_hole(t) && in_hole(end) {
        return None;
    }
    let inverse_length = 1.0 / direction.length();
    let inside = ring_distance(origin + direction * t) < 0.0;
    for _ in 0..MARCH_STEPS {
        let distance = ring_distance(origin + direction * t);
        let away = if inside { -distance } else { distance };
        if away < MARCH_EPSILON && t > t_min {
            return Some(t);
        }
        t += away.max(MARCH_EPSILON) * inverse_length;
        if t > end {
            return None;
        }
    }
    None
}

fn dominant_axis(point: Vec3) -> Vec3 {
    let (x, y, z) = (point.x.abs(), point.y.abs(), point.z.abs());
    if x >= y && x >= z {
        vec3(point.x.signum(), 0.0, 0.0)
    } else if y >= z {
        vec3(0.0, point.y.signum(), 0.0)
    } else {
        vec3(0.0, 0.0, point.z.signum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rays_enter_and_leave_every_solid() {
        for &shape in Shape::ALL {
            // Down through the tube of the ring, and well inside the others.
            let origin = vec3(0.55, 0.1, 5.0);
            let down = vec3(0.0, 0.0, -1.0);
            let enter = first_crossing(shape, origin, down, 1e-3).unwrap();
            let point = origin + down * enter;
            assert!(normal(shape, point).z > 0.2, "{shape:?}");
            let leave = first_crossing(shape, point, down, 1e-2).unwrap();
            assert!(leave > 0.1, "{shape:?} {leave}");
            let after = first_crossing(shape, point, down, leave + 1e-2);
            assert!(after.is_none(), "{shape:?} {after:?}");
            assert!(first_crossing(shape, vec3(3.0, 0.0, 5.0), down, 1e-3).is_none());
        }
    }

    #[test]
    fn surfaces_lie_inside_their_bounds() {
        for &shape in Shape::ALL {
            let (height, radius) = bounding_sphere(shape);
            for i in 0..2000u32 {
                let angle = i as f32 * 2.399_963;
                let z = 1.0 - 2.0 * (i as f32 + 0.5) / 2000.0;
                let ring = (1.0 - z * z).sqrt();
                let from = vec3(ring * angle.cos(), ring * angle.sin(), z) * 4.0;
                let target = vec3(0.4 * (angle * 0.37).cos(), 0.7 * (angle * 0.61).sin(), 0.4);
                let direction = (target - from).normalized();
                let Some(t) = first_crossing(shape, from, direction, 1e-3) else {
                    continue;
                };
                let point = from + direction * t;
                assert!(
                    (point - vec3(0.0, 0.0, height)).length() < radius + 2e-3,
                    "{shape:?}"
                );
                assert!(
                    point.x.hypot(point.y) < footprint(shape) + 2e-3,
                    "{shape:?}"
                );
                assert!(point.z > -2e-3, "{shape:?}");
                assert!(
                    normal(shape, point).dot(direction) < 0.02,
                    "{shape:?} {point:?}"
                );
            }
        }
    }
}
