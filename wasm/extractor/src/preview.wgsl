// Draws the best of a prompt's masks over the part of the canvas that the picture covers: white and
// translucent inside, with a line along its edge. Colours are premultiplied.

struct Place {
    // Pixels of the encoder's input per pixel of the canvas, and where the canvas begins there.
    step: vec2f,
    start: vec2f,
    // Width and height of the picture in the encoder's square input, and the side of the logits per
    // side of that input.
    input: vec2f,
    ratio: f32,
    side: u32,
    masks: u32,
    fill: f32,
    // Half the width of the line and of what is dark around it, in pixels of the canvas.
    line: f32,
    halo: f32,
    darkness: f32,
}

// [masks, side, side] and [masks]; the score of a mask without a pixel is below zero.
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<uniform> place: Place;

// One triangle around all of the canvas.
@vertex
fn corner(@builtin(vertex_index) index: u32) -> @builtin(position) vec4f {
    let x = f32(index & 1u) * 4.0 - 1.0;
    let y = f32(index >> 1u) * 4.0 - 1.0;
    return vec4f(x, y, 0.0, 1.0);
}

// The two samples around a position, and the weight of the second.
fn taps(position: f32, count: f32) -> vec3f {
    let at = max(position, 0.0);
    let low = min(floor(at), count - 1.0);
    return vec3f(low, min(low + 1.0, count - 1.0), at - low);
}

struct Axis {
    index: vec4u,
    weight: vec4f,
}

// The logits around a position in the encoder's input, and their weights, along one axis: the
// logits are first brought to the input's resolution, and then interpolated again.
fn axis(position: f32, count: f32) -> Axis {
    let outer = taps(position, count);
    let side = f32(place.side);
    let a = taps((outer.x + 0.5) * place.ratio - 0.5, side);
    let b = taps((outer.y + 0.5) * place.ratio - 0.5, side);
    let inner = vec4f(1.0 - a.z, a.z, 1.0 - b.z, b.z);
    let weight = inner * vec4f(vec2f(1.0 - outer.z), vec2f(outer.z));
    return Axis(vec4u(vec4f(a.xy, b.xy)), weight);
}

fn logit(mask: u32, at: vec2f) -> f32 {
    let across = axis(at.x, place.input.x);
    let down = axis(at.y, place.input.y);
    var sum = 0.0;
    for (var i = 0u; i < 4u; i++) {
        let row = vec4u((mask * place.side + down.index[i]) * place.side) + across.index;
        let values = vec4f(logits[row.x], logits[row.y], logits[row.z], logits[row.w]);
        sum += down.weight[i] * dot(across.weight, values);
    }
    return sum;
}

// The mask with the highest score; of equal ones the first.
fn best() -> u32 {
    var chosen = 0u;
    for (var i = 1u; i < place.masks; i++) {
        if scores[i] > scores[chosen] {
            chosen = i;
        }
    }
    return chosen;
}

// How much of a pixel a line covers whose middle is that far away.
fn covered(half_width: f32, distance: f32) -> f32 {
    return clamp(half_width + 0.5 - abs(distance), 0.0, 1.0);
}

@fragment
fn paint(@builtin(position) pixel: vec4f) -> @location(0) vec4f {
    let mask = best();
    let value = logit(mask, pixel.xy * place.step + place.start);
    // How deep the pixel is inside the mask, in pixels of the canvas.
    let depth = value / max(length(vec2f(dpdx(value), dpdy(value))), 1e-6);
    let fill = vec4f(clamp(depth + 0.5, 0.0, 1.0) * place.fill);
    let halo = vec4f(0.0, 0.0, 0.0, place.darkness) * covered(place.halo, depth);
    let line = covered(place.line, depth);
    let below = halo + fill * (1.0 - halo.a);
    let drawn = vec4f(line) + below * (1.0 - line);
    return select(drawn, vec4f(0.0), scores[mask] < 0.0);
}
