//! A mask as pixels on a canvas of the page, without a way over the host: the decoder's logits are
//! drawn by the GPU that has computed them.

use std::num::NonZeroU64;

use burn::backend::wgpu::{AutoCompiler, CubeBackend, CubeTensor};
use burn::cubecl::wgpu::WgpuServer;
use burn::tensor::wgpu::wgpu::CurrentSurfaceTexture;
use burn::tensor::wgpu::{WgpuSetup, wgpu};
use burn::tensor::{DType, Tensor};
use fclm_core::sam::LogitPlace;
use fclm_core::wire::PictureView;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use web_sys::OffscreenCanvas;

use crate::problem::Problem;

/// The canvas that was handed over, and what it is drawn with.
pub(crate) struct Preview {
    setup: WgpuSetup,
    surface: wgpu::Surface<'static>,
    config: wgpu::SurfaceConfiguration,
    pipeline: wgpu::RenderPipeline,
    place: wgpu::Buffer,
    // Pixels of the largest side that the canvas can have.
    most: u32,
}

/// Where a mask of the decoder lies on the canvas.
pub(crate) struct Placed<'a> {
    /// The canvas.
    pub(crate) view: &'a PictureView,
    /// The picture's part of it; none where it shows none.
    pub(crate) place: Option<LogitPlace>,
    /// Side of the encoder's input.
    pub(crate) image_size: usize,
}

impl Preview {
    /// Draws on a canvas with the device that computes; none where it cannot.
    pub(crate) async fn new(setup: &WgpuSetup, canvas: OffscreenCanvas) -> Option<Self> {
        let target = wgpu::SurfaceTarget::OffscreenCanvas(canvas);
        let surface = setup.instance.create_surface(target).ok()?;
        let mut config = surface.get_default_config(&setup.adapter, 1, 1)?;
        config.alpha_mode = wgpu::CompositeAlphaMode::PreMultiplied;
        let device = &setup.device;
        let ((pipeline, place), error) = watched(device, || {
            surface.configure(device, &config);
            let place = device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: PLACE_BYTES,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            (pipeline(device, config.format), place)
        });
        let is_sound = error.await.is_none();
        is_sound.then(|| Self {
            most: device.limits().max_texture_dimension_2d,
            setup: setup.clone(),
            surface,
            config,
            pipeline,
            place,
        })
    }

    /// Leaves nothing on the canvas.
    pub(crate) fn clear(&self) {
        let (_, error) = watched(&self.setup.device, || self.show(None));
        // Where it went wrong, the next mask finds out.
        drop(error);
    }

    /// Draws the best of the masks, if there is one, and waits until the GPU has done so; false
    /// where this canvas cannot be drawn on.
    ///
    /// # Shapes
    /// - low_res: `[1, masks, side, side]`, the decoder's logits
    /// - scores: `[masks]`, below zero where a mask has no pixel
    pub(crate) async fn draw(
        &mut self,
        low_res: Tensor<4>,
        scores: Tensor<1>,
        placed: Placed<'_>,
    ) -> Result<bool, Problem> {
        let [_, masks, side, _] = low_res.dims();
        let logits = Numbers::of(low_res.reshape([masks * side * side]))?;
        let scores = Numbers::of(scores)?;
        let device = self.setup.device.clone();
        let (is_drawn, error) = watched(&device, || {
            if !self.fit(placed.view) {
                return false;
            }
            let Some(place) = &placed.place else {
                return self.show(None);
            };
            let bytes = place_bytes(place, [masks, side, placed.image_size], placed.view.ratio);
            self.setup.queue.write_buffer(&self.place, 0, &bytes);
            let entry = |binding, resource| wgpu::BindGroupEntry { binding, resource };
            let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &self.pipeline.get_bind_group_layout(0),
                entries: &[
                    entry(0, logits.binding()),
                    entry(1, scores.binding()),
                    entry(2, self.place.as_entire_binding()),
                ],
            });
            self.show(Some((&group, place.covered)))
        });
        let handles = [&logits.tensor.handle, &scores.tensor.handle];
        let done = logits.tensor.client.sync_buffers(handles);
        done.await.map_err(|error| Problem::of_device(&error))?;
        Ok(error.await.is_none() && is_drawn)
    }

    /// Gives the canvas the size that the page shows it at; false where it cannot be had.
    fn fit(&mut self, view: &PictureView) -> bool {
        let size = [view.width, view.height];
        if size.iter().any(|length| !(1..=self.most).contains(length)) {
            return false;
        }
        if size != [self.config.width, self.config.height] {
            [self.config.width, self.config.height] = size;
            self.surface.configure(&self.setup.device, &self.config);
        }
        true
    }

    /// Shows a mask in a rectangle of the canvas, or nothing; false where the browser has no
    /// texture for the canvas.
    fn show(&self, mask: Option<(&wgpu::BindGroup, [u32; 4])>) -> bool {
        let (CurrentSurfaceTexture::Success(frame) | CurrentSurfaceTexture::Suboptimal(frame)) =
            self.surface.get_current_texture()
        else {
            return false;
        };
        let WgpuSetup { device, queue, .. } = &self.setup;
        let view = frame
            .texture
            .create_view(&wgpu::TextureViewDescriptor::default());
        let mut encoder =
            device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
        let attachment = wgpu::RenderPassColorAttachment {
            view: &view,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations {
                load: wgpu::LoadOp::Clear(wgpu::Color::TRANSPARENT),
                store: wgpu::StoreOp::Store,
            },
        };
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            color_attachments: &[Some(attachment)],
            ..wgpu::RenderPassDescriptor::default()
        });
        if let Some((group, [x, y, width, height])) = mask {
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.set_scissor_rect(x, y, width, height);
            pass.draw(0..3, 0..1);
        }
        drop(pass);
        queue.submit([encoder.finish()]);
        queue.present(frame);
        true
    }
}

/// The numbers of a tensor where they lie on the GPU.
struct Numbers {
    // Keeps them there.
    tensor: CubeTensor,
    buffer: wgpu::Buffer,
    offset: u64,
    bytes: u64,
}

impl Numbers {
    /// Hands everything to the GPU that the numbers are computed with.
    fn of(tensor: Tensor<1>) -> Result<Self, Problem> {
        let [count] = tensor.dims();
        let tensor = tensor
            .try_into_primitive::<CubeBackend>()
            .map_err(|error| Problem::of_device(&format!("{error:?}")))?;
        let is_packed = tensor.meta.strides().iter().all(|stride| *stride == 1);
        if tensor.dtype != DType::F32 || !is_packed {
            let problem = format!("it computed masks in an unknown form: {tensor:?}");
            return Err(Problem::of_device(&problem));
        }
        let held = tensor
            .client
            .get_resource::<WgpuServer<AutoCompiler>>(tensor.handle.clone())
            .map_err(|error| Problem::of_device(&error))?;
        let resource = held.resource();
        Ok(Self {
            buffer: resource.buffer.clone(),
            offset: resource.offset,
            bytes: count as u64 * 4,
            tensor,
        })
    }

    fn binding(&self) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.buffer,
            offset: self.offset,
            size: NonZeroU64::new(self.bytes),
        })
    }
}

/// Does something that the browser may find fault with, and tells which. A fault that nobody asks
/// about ends the worker.
fn watched<T>(
    device: &wgpu::Device,
    act: impl FnOnce() -> T,
) -> (T, LocalBoxFuture<'static, Option<wgpu::Error>>) {
    let filters = [
        wgpu::ErrorFilter::OutOfMemory,
        wgpu::ErrorFilter::Validation,
        wgpu::ErrorFilter::Internal,
    ];
    let scopes = filters.map(|filter| device.push_error_scope(filter));
    let done = act();
    let [first, second, third] = scopes;
    // The last one that was opened is the first to end.
    let (third, second, first) = (third.pop(), second.pop(), first.pop());
    let error = async move {
        let errors = [third.await, second.await, first.await];
        errors.into_iter().flatten().next()
    };
    (done, error.boxed_local())
}

fn pipeline(device: &wgpu::Device, format: wgpu::TextureFormat) -> wgpu::RenderPipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(include_str!("preview.wgsl").into()),
    });
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: None,
        layout: None,
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("corner"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[],
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some("paint"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(format.into())],
        }),
        multiview_mask: None,
        cache: None,
    })
}

/// Bytes of the shader's `Place`, which ends where eight bytes do.
const PLACE_BYTES: u64 = 56;

/// The shader's `Place`, of so many masks with so many logits a side.
fn place_bytes(
    place: &LogitPlace,
    [masks, side, image_size]: [usize; 3],
    pixels_per_css_pixel: f64,
) -> Vec<u8> {
    let half = pixels_per_css_pixel / 2.0;
    let (line, halo) = (PictureView::LINE, PictureView::LINE + PictureView::HALO);
    let bits = |number: f64| (number as f32).to_bits();
    let words = [
        place.step[0].to_bits(),
        place.step[1].to_bits(),
        place.start[0].to_bits(),
        place.start[1].to_bits(),
        place.input[0].to_bits(),
        place.input[1].to_bits(),
        (side as f32 / image_size as f32).to_bits(),
        side as u32,
        masks as u32,
        bits(PictureView::FILL),
        bits(line * half),
        bits(halo * half),
        bits(PictureView::DARKNESS),
        0,
    ];
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}
