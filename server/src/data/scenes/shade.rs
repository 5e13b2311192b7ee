//! What light every ray brings back.
//!
//! A primary ray gets soft shadows and, on metal, glass and lacquer, one further ray; what that
//! one meets is shaded without any more rays than a hard shadow.

use std::f32::consts::TAU;

use super::{
    pattern::is_second_tone,
    scene::{Light, Scene, SceneObject},
    solid,
    surroundings::smooth_step,
    vector::{Vec3, vec3},
    vocabulary::{Colour, Material},
};

/// Rays start this far from the surface they leave.
const OFFSET: f32 = 2e-3;
const GLASS_INDEX: f32 = 1.35;
/// Places on the disc of a lamp that a soft shadow looks at.
const SHADOW_RAYS: usize = 12;
/// The outermost ones, which come first.
const SETTLING_RAYS: usize = 3;
const TURNS: usize = 16;

/// A point of an object's surface.
struct Surface<'a> {
    object: &'a SceneObject,
    index: usize,
    point: Vec3,
    normal: Vec3,
    second_tone: bool,
}

/// How a ray looks at the lamps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sampling {
    /// Turns the rays of soft shadows, from pixel to pixel.
    pub(crate) turn: usize,
    /// Whether to look at all of a lamp where a few rays leave doubt; rays that are averaged with
    /// others of their pixel need not.
    pub(crate) whole_lamp: bool,
}

/// Shades the rays of one scene.
pub(crate) struct Shader<'a> {
    scene: &'a Scene,
    /// Directions to the places that soft shadows look at on each lamp, for each of several
    /// rotations.
    lamps: Vec<[[Vec3; SHADOW_RAYS]; TURNS]>,
    /// What each object leaves of a lamp's light behind it; none where that is nothing.
    tints: Vec<Option<Vec3>>,
}

impl<'a> Shader<'a> {
    pub(crate) fn new(scene: &'a Scene) -> Self {
        let mut disc = [[(0.0, 0.0); SHADOW_RAYS]; TURNS];
        for (turn, samples) in disc.iter_mut().enumerate() {
            for (k, sample) in samples.iter_mut().enumerate() {
                // Three rings: the settling rays, then one near the middle and one between.
                let (radius, offset) = match k {
                    0..SETTLING_RAYS => (0.92, k as f32 * (TAU / 3.0)),
                    SETTLING_RAYS..7 => (0.35, (k as f32 + 0.3) * (TAU / 4.0)),
                    _ => (0.68, (k as f32 + 0.6) * (TAU / 5.0)),
                };
                let angle = offset + turn as f32 * (TAU / TURNS as f32);
                *sample = (radius * angle.cos(), radius * angle.sin());
            }
        }
        let lamps = scene
            .lights
            .iter()
            .map(|light| {
                let a = light.towards.cross(vec3(0.31, 0.87, 0.39)).normalized();
                let b = a.cross(light.towards);
                let towards = |(u, v): (f32, f32)| {
                    (light.towards + a * (u * light.softness) + b * (v * light.softness))
                        .normalized()
                };
                disc.map(|places| places.map(towards))
            })
            .collect();
        Self {
            scene,
            lamps,
            tints: scene.objects.iter().map(SceneObject::shadow_tint).collect(),
        }
    }

    /// Light along a primary ray.
    pub(crate) fn primary(
        &self,
        direction: Vec3,
        hit: Option<(usize, f32)>,
        sampling: Sampling,
    ) -> Vec3 {
        let eye = self.scene.camera.eye;
        match hit {
            Some((index, t)) => self.object(index, eye + direction * t, direction, sampling),
            None => match self.scene.table.crossing(eye, direction) {
                Some((t, normal)) => self.table(eye + direction * t, normal, direction, sampling),
                None => self.scene.background.colour(direction),
            },
        }
    }

    /// The nearest object along a ray.
    pub(crate) fn nearest(
        &self,
        origin: Vec3,
        direction: Vec3,
        skip: Option<usize>,
    ) -> Option<(usize, f32)> {
        let mut best: Option<(usize, f32)> = None;
        for (index, object) in self.scene.objects.iter().enumerate() {
            if Some(index) == skip {
                continue;
            }
            if let Some(t) = object.crossing(origin, direction, OFFSET)
                && best.is_none_or(|(_, nearest)| t < nearest)
            {
                best = Some((index, t));
            }
        }
        best
    }

    fn surface(&self, index: usize, point: Vec3) -> Surface<'a> {
        let object = &self.scene.objects[index];
        let local = object.local_point(point);
        let normal = solid::normal(object.shape(), local);
        Surface {
            object,
            index,
            point,
            normal: object.world_direction(normal),
            second_tone: is_second_tone(object.attributes.pattern, object.shape(), local, normal),
        }
    }

    fn object(&self, index: usize, point: Vec3, direction: Vec3, sampling: Sampling) -> Vec3 {
        let surface = self.surface(index, point);
        match surface.object.attributes.material {
            Material::Rubber => {
                let albedo = surface.albedo();
                self.diffuse(&surface, albedo, sampling)
                    + self.gloss(&surface, direction, 14.0, 0.035)
            }
            Material::Metal => self.metal(&surface, direction, sampling),
            Material::Glass => self.glass(&surface, direction, sampling),
        }
    }

    fn metal(&self, surface: &Surface<'_>, direction: Vec3, sampling: Sampling) -> Vec3 {
        let grazing = 1.0 - (-direction.dot(surface.normal)).max(0.0);
        let sheen = grazing.powi(5);
        let mirrored = self.secondary(
            surface.point + surface.normal * OFFSET,
            direction.reflected(surface.normal),
            surface.index,
        );
        if surface.second_tone {
            // Enamel over the metal: painted, but still shiny.
            let paint = self.diffuse(surface, surface.albedo(), sampling);
            return paint * 0.85
                + mirrored * (0.08 + 0.5 * sheen)
                + self.gloss(surface, direction, 120.0, 0.5);
        }
        let tint = metal_tint(surface.object.attributes.colour);
        let tint = tint.lerp(Vec3::splat(1.0), 0.6 * sheen);
        let body = self.diffuse(
            surface,
            main_colour(surface.object.attributes.colour),
            sampling,
        );
        mirrored.tinted(tint)
            + body * 0.18
            + self
                .gloss(surface, direction, 90.0, 0.9)
                .tinted(tint.lerp(Vec3::splat(1.0), 0.35))
    }

    fn glass(&self, surface: &Surface<'_>, direction: Vec3, sampling: Sampling) -> Vec3 {
        let attributes = surface.object.attributes;
        let cosine = (-direction.dot(surface.normal)).max(0.0);
        let fresnel = 0.045 + 0.80 * (1.0 - cosine).powi(5);
        let mirrored = self.secondary(
            surface.point + surface.normal * OFFSET,
            direction.reflected(surface.normal),
            surface.index,
        );
        let shine = mirrored * fresnel + self.gloss(surface, direction, 220.0, 1.6);

        if surface.second_tone {
            let paint = self.diffuse(surface, surface.albedo(), sampling);
            return paint * 0.9 + shine;
        }
        let inside = direction
            .refracted(surface.normal, 1.0 / GLASS_INDEX)
            .unwrap_or(direction);
        let start = surface.point - surface.normal * OFFSET;
        let far = surface
            .object
            .crossing(start, inside, OFFSET)
            .unwrap_or(OFFSET);
        let back = self.surface(surface.index, start + inside * far);
        let outside = inside
            .refracted(-back.normal, GLASS_INDEX)
            .unwrap_or(inside);
        let mut behind = self.secondary(back.point + back.normal * OFFSET, outside, surface.index);
        if back.second_tone {
            behind = back.albedo() * 0.35;
        }
        let depth = far * surface.object.inverse_scale;
        let tint = glass_tint(attributes.colour);
        let through = behind.tinted(transmitted(tint, 0.35 + 0.5 * depth));
        // Light that the body scatters keeps the colour readable over a dark ground.
        let body = main_colour(attributes.colour)
            .lerp(tint, 0.3)
            .tinted(self.scene.ambient)
            * 0.65
            + self.scene.lights[0].radiance.tinted(tint) * (0.05 * (1.0 - cosine));
        // Light gathered on the far side from the lamp, as a lens does.
        let lens = smooth_step(0.3, 0.95, inside.dot(self.scene.lights[0].towards));
        let gathered = self.scene.lights[0].radiance.tinted(tint) * (0.5 * lens);
        through * (1.0 - fresnel) * 0.85 + body + gathered + shine
    }

    fn table(&self, point: Vec3, normal: Vec3, direction: Vec3, sampling: Sampling) -> Vec3 {
        let table = &self.scene.table;
        let albedo = table.albedo(point);
        let above = point + normal * OFFSET;
        let mut light = self.scene.ambient * self.openness(point, normal, None);
        for (which, lamp) in self.scene.lights.iter().enumerate() {
            let facing = lamp.towards.dot(normal);
            if facing > 0.0 {
                light += lamp
                    .radiance
                    .tinted(self.soft_shadow(above, which, None, sampling))
                    * facing;
            }
        }
        let lit = albedo.tinted(light);
        if table.gloss == 0.0 || normal.z < 0.5 {
            return lit;
        }
        let fresnel = table.gloss * (0.05 + 0.6 * (1.0 + direction.dot(normal)).max(0.0).powi(5));
        let mirrored = direction.reflected(normal);
        let seen = match self.nearest(above, mirrored, None) {
            Some((index, t)) => self.plain(&self.surface(index, above + mirrored * t), mirrored),
            None => self
                .scene
                .background
                .reflected(above, mirrored, &self.scene.lights),
        };
        lit * (1.0 - fresnel) + seen * fresnel
    }

    /// Light along a ray that left an object.
    fn secondary(&self, origin: Vec3, direction: Vec3, skip: usize) -> Vec3 {
        if let Some((index, t)) = self.nearest(origin, direction, Some(skip)) {
            return self.plain(&self.surface(index, origin + direction * t), direction);
        }
        let Some((t, normal)) = self.scene.table.crossing(origin, direction) else {
            return self
                .scene
                .background
                .reflected(origin, direction, &self.scene.lights);
        };
        let point = origin + direction * t;
        let mut light = self.scene.ambient * self.openness(point, normal, None);
        for lamp in &self.scene.lights {
            let facing = lamp.towards.dot(normal);
            if facing > 0.0 {
                light += lamp.radiance.tinted(self.hard_shadow(point, lamp)) * facing;
            }
        }
        self.scene.table.albedo(point).tinted(light)
    }

    /// An object without further rays, as mirrors and lenses show it.
    fn plain(&self, surface: &Surface<'_>, direction: Vec3) -> Vec3 {
        let attributes = surface.object.attributes;
        let mut light = self.ambient(surface);
        for lamp in &self.scene.lights {
            light += lamp.radiance * lamp.towards.dot(surface.normal).max(0.0);
        }
        let lit = surface.albedo().tinted(light);
        if surface.second_tone {
            return lit;
        }
        match attributes.material {
            Material::Rubber => lit,
            Material::Metal => {
                let mirrored = direction.reflected(surface.normal);
                let room =
                    self.scene
                        .background
                        .reflected(surface.point, mirrored, &self.scene.lights);
                room.tinted(metal_tint(attributes.colour)) * 0.8 + lit * 0.35
            }
            Material::Glass => {
                let room = self.scene.background.colour(direction);
                room.tinted(glass_tint(attributes.colour)) * 0.5 + lit * 0.5
            }
        }
    }

    fn diffuse(&self, surface: &Surface<'_>, albedo: Vec3, sampling: Sampling) -> Vec3 {
        let mut light = self.ambient(surface);
        let above = surface.point + surface.normal * OFFSET;
        for (which, lamp) in self.scene.lights.iter().enumerate() {
            let facing = lamp.towards.dot(surface.normal);
            if facing > 0.0 {
                // A ring can shade itself; the other solids are convex.
                let shadow = self.soft_shadow(above, which, Some(surface), sampling);
                light += lamp.radiance.tinted(shadow) * facing;
            }
        }
        albedo.tinted(light)
    }

    fn ambient(&self, surface: &Surface<'_>) -> Vec3 {
        let up = 0.5 + 0.5 * surface.normal.z;
        let from_table = self.scene.table.colour * 0.7 + Vec3::splat(0.08);
        let sky = Vec3::splat(1.0);
        let open = self.openness(surface.point, surface.normal, Some(surface.index));
        from_table.lerp(sky, up).tinted(self.scene.ambient) * open
    }

    /// The highlight of the lamps on a surface.
    fn gloss(&self, surface: &Surface<'_>, direction: Vec3, sharpness: f32, strength: f32) -> Vec3 {
        let mut shine = Vec3::ZERO;
        for lamp in &self.scene.lights {
            let half = (lamp.towards - direction).normalized();
            let cosine = half.dot(surface.normal).max(0.0);
            if cosine > 0.6 && lamp.towards.dot(surface.normal) > 0.0 {
                shine += lamp.radiance * (strength * cosine.powf(sharpness));
            }
        }
        shine
    }

    /// Share of the sky that the other objects leave open over a point.
    fn openness(&self, point: Vec3, normal: Vec3, skip: Option<usize>) -> f32 {
        let mut open = 1.0;
        for (index, object) in self.scene.objects.iter().enumerate() {
            if Some(index) == skip {
                continue;
            }
            let to = object.centre - point;
            let square = to.dot(to);
            let radius = object.bound * 0.80;
            if square < 16.0 * radius * radius {
                let rising = to.dot(normal) / square.sqrt();
                let size = (radius * radius / square).min(1.0);
                let density = if object.attributes.material == Material::Glass {
                    0.45
                } else {
                    0.85
                };
                open *= 1.0 - density * size * rising.clamp(0.0, 1.0);
            }
        }
        open
    }

    fn hard_shadow(&self, point: Vec3, lamp: &Light) -> Vec3 {
        let origin = point + vec3(0.0, 0.0, OFFSET);
        let everything = (1_u32 << self.scene.objects.len()) - 1;
        self.behind(everything, origin, lamp.towards, OFFSET)
    }

    /// What some objects, one for each bit, leave of the light that comes from a direction.
    #[inline]
    fn behind(&self, objects: u32, origin: Vec3, towards: Vec3, t_min: f32) -> Vec3 {
        let mut light = Vec3::splat(1.0);
        let mut rest = objects;
        while rest != 0 {
            let index = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            if self.scene.objects[index]
                .crossing(origin, towards, t_min)
                .is_some()
            {
                match self.tints[index] {
                    Some(tint) => light = light.tinted(tint),
                    // Whatever else is in the way takes nothing more.
                    None => return Vec3::ZERO,
                }
            }
        }
        light
    }

    fn soft_shadow(
        &self,
        origin: Vec3,
        which: usize,
        own: Option<&Surface<'_>>,
        sampling: Sampling,
    ) -> Vec3 {
        let lamp = &self.scene.lights[which];
        let mut near = 0u32;
        for (index, object) in self.scene.objects.iter().enumerate() {
            if let Some(own) = own
                && own.index == index
                && object.shape() != super::Shape::Ring
            {
                continue;
            }
            let to = object.centre - origin;
            let along = to.dot(lamp.towards);
            let reach = object.bound + along.max(0.0) * lamp.softness;
            if along > -object.bound && to.dot(to) - along * along < reach * reach {
                near |= 1 << index;
            }
        }
        if near == 0 {
            return Vec3::splat(1.0);
        }
        let mut sum = Vec3::ZERO;
        let mut first = Vec3::ZERO;
        let mut agree = true;
        let places = &self.lamps[which][sampling.turn % TURNS];
        for (taken, &towards) in places.iter().enumerate() {
            // Deep in the light or in the shadow the first few rays settle it.
            if taken == SETTLING_RAYS && (agree || !sampling.whole_lamp) {
                return sum * (1.0 / SETTLING_RAYS as f32);
            }
            let light = self.behind(near, origin, towards, 4e-3);
            if taken == 0 {
                first = light;
            }
            agree &= light == first;
            sum += light;
        }
        sum * (1.0 / SHADOW_RAYS as f32)
    }
}

impl SceneObject {
    /// What is left of a lamp's light behind the object; none where that is nothing.
    fn shadow_tint(&self) -> Option<Vec3> {
        match self.attributes.material {
            Material::Glass => Some(glass_tint(self.attributes.colour) * 0.62 + Vec3::splat(0.06)),
            Material::Rubber | Material::Metal => None,
        }
    }
}

impl Surface<'_> {
    fn albedo(&self) -> Vec3 {
        let colour = self.object.attributes.colour;
        if self.second_tone {
            second_colour(colour)
        } else {
            main_colour(colour)
        }
    }
}

/// Linear reflectance of the eight colours.
fn main_colour(colour: Colour) -> Vec3 {
    match colour {
        Colour::Red => vec3(0.62, 0.022, 0.025),
        Colour::Orange => vec3(0.86, 0.235, 0.012),
        Colour::Yellow => vec3(0.86, 0.66, 0.03),
        Colour::Green => vec3(0.035, 0.34, 0.05),
        Colour::Cyan => vec3(0.05, 0.62, 0.62),
        Colour::Blue => vec3(0.025, 0.085, 0.60),
        Colour::Purple => vec3(0.26, 0.035, 0.42),
        Colour::Gray => vec3(0.27, 0.27, 0.275),
    }
}

/// What a pattern is painted with: light on the deep colours, dark on the bright ones.
fn second_colour(colour: Colour) -> Vec3 {
    match colour {
        Colour::Red | Colour::Green | Colour::Blue | Colour::Purple => vec3(0.80, 0.77, 0.70),
        Colour::Orange | Colour::Yellow | Colour::Cyan | Colour::Gray => vec3(0.030, 0.030, 0.036),
    }
}

fn metal_tint(colour: Colour) -> Vec3 {
    let main = main_colour(colour);
    match colour {
        Colour::Gray => vec3(0.80, 0.80, 0.82),
        _ => {
            let peak = main.x.max(main.y).max(main.z);
            (main * (0.92 / peak)).lerp(Vec3::splat(0.9), 0.03)
        }
    }
}

fn glass_tint(colour: Colour) -> Vec3 {
    let main = main_colour(colour);
    match colour {
        Colour::Gray => vec3(0.50, 0.51, 0.53),
        _ => {
            let peak = main.x.max(main.y).max(main.z);
            (main * (0.97 / peak)).lerp(Vec3::splat(1.0), 0.10)
        }
    }
}

/// A tint after a path of some length, in lengths that give the tint itself.
fn transmitted(tint: Vec3, length: f32) -> Vec3 {
    vec3(
        tint.x.powf(length),
        tint.y.powf(length),
        tint.z.powf(length),
    )
}
