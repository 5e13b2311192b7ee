//! Three-component vectors for geometry and linear light.

use std::ops::{Add, AddAssign, Mul, Neg, Sub};

/// A point, a direction or a linear RGB colour.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Vec3 {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) z: f32,
}

pub(crate) const fn vec3(x: f32, y: f32, z: f32) -> Vec3 {
    Vec3 { x, y, z }
}

impl Vec3 {
    pub(crate) const ZERO: Self = vec3(0.0, 0.0, 0.0);

    pub(crate) const fn splat(value: f32) -> Self {
        vec3(value, value, value)
    }

    #[inline]
    pub(crate) fn dot(self, other: Self) -> f32 {
        self.x * other.x + self.y * other.y + self.z * other.z
    }

    #[inline]
    pub(crate) fn cross(self, other: Self) -> Self {
        vec3(
            self.y * other.z - self.z * other.y,
            self.z * other.x - self.x * other.z,
            self.x * other.y - self.y * other.x,
        )
    }

    #[inline]
    pub(crate) fn length(self) -> f32 {
        self.dot(self).sqrt()
    }

    #[inline]
    pub(crate) fn normalized(self) -> Self {
        self * (1.0 / self.length())
    }

    /// This direction mirrored at a surface with unit `normal`.
    #[inline]
    pub(crate) fn reflected(self, normal: Self) -> Self {
        self - normal * (2.0 * self.dot(normal))
    }

    /// This unit direction after it crosses a surface whose unit `normal` faces it; `ratio` is the
    /// refractive index it leaves over the one it enters. `None` on total internal reflection.
    #[inline]
    pub(crate) fn refracted(self, normal: Self, ratio: f32) -> Option<Self> {
        let cosine = -self.dot(normal);
        let k = 1.0 - ratio * ratio * (1.0 - cosine * cosine);
        (k >= 0.0).then(|| self * ratio + normal * (ratio * cosine - k.sqrt()))
    }

    /// The product component by component: light through a tint.
    #[inline]
    pub(crate) fn tinted(self, other: Self) -> Self {
        vec3(self.x * other.x, self.y * other.y, self.z * other.z)
    }

    #[inline]
    pub(crate) fn lerp(self, other: Self, amount: f32) -> Self {
        self + (other - self) * amount
    }
}

impl Add for Vec3 {
    type Output = Self;

    #[inline]
    fn add(self, other: Self) -> Self {
        vec3(self.x + other.x, self.y + other.y, self.z + other.z)
    }
}

impl AddAssign for Vec3 {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Vec3 {
    type Output = Self;

    #[inline]
    fn sub(self, other: Self) -> Self {
        vec3(self.x - other.x, self.y - other.y, self.z - other.z)
    }
}

impl Mul<f32> for Vec3 {
    type Output = Self;

    #[inline]
    fn mul(self, factor: f32) -> Self {
        vec3(self.x * factor, self.y * factor, self.z * factor)
    }
}

impl Neg for Vec3 {
    type Output = Self;

    #[inline]
    fn neg(self) -> Self {
        vec3(-self.x, -self.y, -self.z)
    }
}

/// Largest whole number not above `value`, which must fit an `i32`.
///
/// `f32::floor` is a library call on the baseline of x86-64; textures take it for every pixel.
#[inline]
pub(crate) fn floor(value: f32) -> f32 {
    let whole = value as i32 as f32;
    if whole > value { whole - 1.0 } else { whole }
}

/// What [`floor`] leaves, in [0, 1).
#[inline]
pub(crate) fn fraction(value: f32) -> f32 {
    value - floor(value)
}
