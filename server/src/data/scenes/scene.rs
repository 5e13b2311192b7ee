//! A scene: objects on a table, its light and its camera.

use super::{
    solid,
    vector::{Vec3, vec3},
    vocabulary::{Attributes, Shape, Size},
};

/// Length in world units that a solid's own unit has, by size.
pub(crate) const fn unit_length(size: Size) -> f32 {
    match size {
        Size::Small => 0.40,
        Size::Large => 0.72,
    }
}

/// An object that stands on the table.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneObject {
    /// What it is.
    pub attributes: Attributes,
    /// Where it touches the table, z = 0.
    pub(crate) base: Vec3,
    /// Turn about the vertical, as cosine and sine.
    pub(crate) turn: (f32, f32),
    /// World units per unit of the solid.
    pub(crate) scale: f32,
    pub(crate) inverse_scale: f32,
    pub(crate) centre: Vec3,
    pub(crate) bound: f32,
}

impl SceneObject {
    pub(crate) fn new(attributes: Attributes, base: Vec3, yaw: f32, scale: f32) -> Self {
        let (height, radius) = solid::bounding_sphere(attributes.shape);
        Self {
            attributes,
            base,
            turn: (yaw.cos(), yaw.sin()),
            scale,
            inverse_scale: 1.0 / scale,
            centre: base + vec3(0.0, 0.0, height * scale),
            bound: radius * scale,
        }
    }

    pub(crate) fn shape(&self) -> Shape {
        self.attributes.shape
    }

    pub(crate) fn footprint(&self) -> f32 {
        solid::footprint(self.attributes.shape) * self.scale
    }

    #[inline]
    pub(crate) fn local_direction(&self, direction: Vec3) -> Vec3 {
        let (cos, sin) = self.turn;
        vec3(
            cos * direction.x + sin * direction.y,
            cos * direction.y - sin * direction.x,
            direction.z,
        )
    }

    #[inline]
    pub(crate) fn local_point(&self, point: Vec3) -> Vec3 {
        self.local_direction(point - self.base) * self.inverse_scale
    }

    #[inline]
    pub(crate) fn world_direction(&self, local: Vec3) -> Vec3 {
        let (cos, sin) = self.turn;
        vec3(
            cos * local.x - sin * local.y,
            sin * local.x + cos * local.y,
            local.z,
        )
    }

    /// Whether a ray with unit direction meets the bounding sphere in front of its origin.
    #[inline]
    pub(crate) fn may_meet(&self, origin: Vec3, direction: Vec3) -> bool {
        let to_centre = self.centre - origin;
        let along = to_centre.dot(direction);
        let square = to_centre.dot(to_centre);
        let bound = self.bound * self.bound;
        (along > 0.0 || square < bound) && square - along * along < bound
    }

    /// Distance along a ray with unit direction to its first crossing of the surface.
    // Most rays miss the bounding sphere; only the others are worth a call.
    #[inline(always)]
    pub(crate) fn crossing(&self, origin: Vec3, direction: Vec3, t_min: f32) -> Option<f32> {
        if self.may_meet(origin, direction) {
            self.solid_crossing(origin, direction, t_min)
        } else {
            None
        }
    }

    #[inline(never)]
    fn solid_crossing(&self, origin: Vec3, direction: Vec3, t_min: f32) -> Option<f32> {
        let local_direction = self.local_direction(direction) * self.inverse_scale;
        solid::first_crossing(
            self.shape(),
            self.local_point(origin),
            local_direction,
            t_min,
        )
    }
}

/// A pinhole camera that looks at the table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Camera {
    pub(crate) eye: Vec3,
    pub(crate) forward: Vec3,
    pub(crate) right: Vec3,
    pub(crate) up: Vec3,
    /// Tangent of half the angle that the shorter side of the picture spans.
    pub(crate) tangent: f32,
}

impl Camera {
    pub(crate) fn looking_at(eye: Vec3, target: Vec3, tangent: f32) -> Self {
        let forward = (target - eye).normalized();
        let right = forward.cross(vec3(0.0, 0.0, 1.0)).normalized();
        Self {
            eye,
            forward,
            right,
            up: right.cross(forward),
            tangent,
        }
    }

    /// Horizontal unit vectors towards the right of the picture and away from the camera.
    pub(crate) fn ground_axes(&self) -> (Vec3, Vec3) {
        let away = vec3(self.forward.x, self.forward.y, 0.0).normalized();
        (self.right, away)
    }

    /// Unit direction through a point of a picture, in pixels from its upper left corner.
    #[inline]
    pub(crate) fn direction(&self, x: f32, y: f32, width: u32, height: u32) -> Vec3 {
        let half = width.min(height) as f32 / 2.0;
        let scale = self.tangent / half;
        let u = (x - width as f32 / 2.0) * scale;
        let v = (y - height as f32 / 2.0) * scale;
        (self.forward + self.right * u - self.up * v).normalized()
    }

    /// Pixel bounds of a sphere's outline, unclipped: `[x0, y0, x1, y1]`.
    pub(crate) fn outline(&self, centre: Vec3, radius: f32, width: u32, height: u32) -> [f32; 4] {
        let offset = centre - self.eye;
        let z = offset.dot(self.forward);
        let scale = width.min(height) as f32 / 2.0 / self.tangent;
        let (x0, x1) = tangents(offset.dot(self.right), z, radius);
        let (y0, y1) = tangents(-offset.dot(self.up), z, radius);
        let (mid_x, mid_y) = (width as f32 / 2.0, height as f32 / 2.0);
        [
            mid_x + x0 * scale,
            mid_y + y0 * scale,
            mid_x + x1 * scale,
            mid_y + y1 * scale,
        ]
    }
}

/// Slopes of the two lines from the origin that touch a circle at (`across`, `z`).
fn tangents(across: f32, z: f32, radius: f32) -> (f32, f32) {
    let square = radius * radius;
    let root = radius * (across * across + z * z - square).max(0.0).sqrt();
    let divisor = (z * z - square).max(1e-6);
    ((across * z - root) / divisor, (across * z + root) / divisor)
}

/// A distant light.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Light {
    /// Unit direction towards the light.
    pub(crate) towards: Vec3,
    /// What a white surface that faces it sends back.
    pub(crate) radiance: Vec3,
    /// Tangent of the light's angular radius: how soft its shadows are.
    pub(crate) softness: f32,
}

/// What the table is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TableKind {
    Wood,
    Stone,
    Marble,
    Cloth,
}

/// The table: a slab whose upper face is z = 0.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) kind: TableKind,
    pub(crate) half: (f32, f32),
    pub(crate) turn: (f32, f32),
    pub(crate) colour: Vec3,
    /// Strength of the reflections on its lacquer, 0 for a matte table.
    pub(crate) gloss: f32,
    /// Varies grain and veins.
    pub(crate) seed: u32,
}

/// What is seen past the table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Background {
    pub(crate) floor: Vec3,
    pub(crate) wall: Vec3,
}

/// Everything that a picture shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// The objects, in no particular order.
    pub objects: Vec<SceneObject>,
    pub(crate) camera: Camera,
    pub(crate) lights: Vec<Light>,
    pub(crate) ambient: Vec3,
    pub(crate) table: Table,
    pub(crate) background: Background,
}

impl Scene {
    /// What the table is, for captions: "wooden table" and the like.
    pub fn table_name(&self) -> &'static str {
        match self.table.kind {
            TableKind::Wood => "a wooden table",
            TableKind::Stone => "a stone table",
            TableKind::Marble => "a marble table",
            TableKind::Cloth => "a table",
        }
    }
}
