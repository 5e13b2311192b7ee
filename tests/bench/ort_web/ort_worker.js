// onnxruntime-web in a worker: WebAssembly with SIMD on one thread, or WebGPU. Answers each request
// with one message, once the numbers are here.

const MEAN = [123.675, 116.28, 103.53];
const STD = [58.395, 57.12, 57.375];

let ort;
let encoder;
let decoder;
let picture;
let size;
let embedding;

async function start({ provider, entry }) {
  ort = await import(`/ort/${entry}`);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = '/ort/';
  const create = (name, more) =>
    ort.InferenceSession.create(`/onnx/${name}.onnx`, { executionProviders: [provider], ...more });
  // Like our own worker, the decoder takes the embedding from where it was computed.
  const kept = provider === 'webgpu' ? { preferredOutputLocation: { embedding: 'gpu-buffer' } } : {};
  encoder = await create('encoder', kept);
  decoder = await create('decoder', {});
  let adapter = '';
  if (provider === 'webgpu') {
    const info = (await navigator.gpu.requestAdapter())?.info;
    adapter = [info?.vendor, info?.architecture, info?.device, info?.description].filter(Boolean).join(' ');
  }
  return { adapter };
}

// SAM's normalised planes of a picture that has the encoder's size already.
function planes({ data }) {
  const values = new Float32Array(3 * size * size);
  for (let at = 0; at < size * size; at++) {
    for (let channel = 0; channel < 3; channel++) {
      values[channel * size * size + at] = (data[4 * at + channel] - MEAN[channel]) / STD[channel];
    }
  }
  return values;
}

async function run(values) {
  const pixels = new ort.Tensor('float32', values, [1, 3, size, size]);
  return (await encoder.run({ pixels })).embedding;
}

// Encodes to the end; the embedding is here then, and no longer on the GPU.
async function encode() {
  const started = performance.now();
  const output = await run(planes(picture));
  const values = await output.getData();
  if (!values.every(Number.isFinite)) throw new Error('the embedding is no number');
  return { encode_ms: performance.now() - started };
}

async function open(request) {
  size = request.size;
  const blob = await (await fetch(request.url)).blob();
  const bitmap = await createImageBitmap(blob);
  const context = new OffscreenCanvas(size, size).getContext('2d', { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  picture = context.getImageData(0, 0, size, size);
  embedding = await run(planes(picture));
  return {};
}

async function masksOf({ x, y }) {
  const points = new ort.Tensor('float32', [x, y], [1, 1, 2]);
  const labels = new ort.Tensor('float32', [1], [1, 1]);
  const { masks, scores } = await decoder.run({ embedding, points, labels });
  return { masks: masks.data, scores: scores.data };
}

async function decode({ click }) {
  const { scores } = await masksOf(click);
  return { best: scores.indexOf(Math.max(...scores)) };
}

async function probe({ click }) {
  const { masks, scores } = await masksOf(click);
  return { masks: [...masks], scores: [...scores] };
}

// How far this is from what PyTorch computed, as a part of the largest number.
async function check({ expected }) {
  const of = (found, wanted) => {
    const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    return found.reduce((most, value, at) => Math.max(most, Math.abs(value - wanted[at])), 0) / largest;
  };
  const values = Float32Array.from({ length: 3 * size * size }, (_, at) => (at % 251) / 125 - 1);
  const found = await (await run(values)).getData();
  embedding = await run(values);
  const [x, y] = expected.points;
  const { masks, scores } = await masksOf({ x, y });
  return {
    difference: {
      embedding: of(found, expected.embedding),
      masks: of(masks, expected.masks),
      scores: of(scores, expected.scores),
    },
  };
}

const REQUESTS = { start, open, encode, decode, probe, check, nothing: () => ({}) };

onmessage = async ({ data }) => {
  try {
    postMessage(await REQUESTS[data.request](data));
  } catch (error) {
    postMessage({ failed: String(error?.stack ?? error) });
  }
};
