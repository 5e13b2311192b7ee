// Times one way of making masks in a browser, and sends what it found to ort_web.py. What is measured
// comes from the address: `run` is one of ort-wasm, ort-webgpu, fclm-cpu and fclm-gpu.

const asked = new URLSearchParams(location.search);
const count = name => Number(asked.get(name));
const RUNS = { encode: count('encodes'), decode: count('decodes') };
const WARM_UPS = count('warm_ups');
const size = count('size');
const click = { x: count('x'), y: count('y') };

const get = async path => {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: status ${answer.status}`);
  return answer;
};

// The scene at the size that the encoder takes, so that no way of making it smaller is timed.
async function putPicture() {
  const scene = await (await get('scene.png')).blob();
  const options = { resizeWidth: size, resizeHeight: size, resizeQuality: 'high' };
  const bitmap = await createImageBitmap(scene, options);
  const canvas = new OffscreenCanvas(size, size);
  canvas.getContext('2d').drawImage(bitmap, 0, 0);
  await fetch('picture.png', { method: 'POST', body: await canvas.convertToBlob() });
}

// A worker that answers each message with one message, but for those that `skip` is true of.
function start(script, skip = () => false) {
  const worker = new Worker(script, { type: 'module' });
  let waiting;
  worker.onerror = event => waiting?.reject(new Error(event.message ?? 'the worker broke down'));
  worker.onmessage = ({ data }) => {
    if (!skip(data)) waiting?.resolve(data);
  };
  return message => new Promise((resolve, reject) => {
    waiting = { resolve, reject };
    worker.postMessage(message);
  });
}

// Told as it happens, since on a software adapter all of it can take minutes.
const say = what => fetch('progress', { method: 'POST', body: what });

// Milliseconds of some work: what it says itself, else from the message to the answer.
async function repeat(name, runs, work) {
  for (let run = 0; run < WARM_UPS; run++) await work();
  const times = [];
  for (let run = 0; run < runs; run++) {
    const started = performance.now();
    const inside = await work();
    const outside = performance.now() - started;
    times.push(inside ?? outside);
  }
  times.sort((a, b) => a - b);
  const at = share => times[Math.floor((times.length - 1) * share)];
  await say(`${name} ${at(0.5).toFixed(1)} ms`);
  return { runs, fastest_ms: at(0), median_ms: at(0.5), slowest_ms: at(1) };
}

async function measureOrt(provider) {
  const expected = await (await get('/onnx/expected.json')).json();
  const began = performance.now();
  const tell = start('ort_worker.js');
  const ask = async message => {
    const reply = await tell(message);
    if (reply.failed) throw new Error(reply.failed);
    return reply;
  };
  const ready = await ask({ request: 'start', provider, entry: asked.get('entry') });
  const loaded = performance.now();
  await ask({ request: 'open', url: 'picture.png', size });
  const decode = () => ask({ request: 'decode', click });
  await decode();
  const done = performance.now();
  await say(`ready ${(loaded - began).toFixed(0)} ms, first mask ${(done - began).toFixed(0)} ms`);
  return {
    adapter: ready.adapter,
    start_ms: loaded - began,
    first_mask_ms: done - began,
    encode: await repeat('encode', RUNS.encode, async () => (await ask({ request: 'encode' })).encode_ms),
    decode: await repeat('decode', RUNS.decode, async () => void await decode()),
    message: await repeat('message', RUNS.decode, async () => void await ask({ request: 'nothing' })),
    probe: await ask({ request: 'probe', click }),
    difference: (await ask({ request: 'check', expected })).difference,
  };
}

async function measureFclm(device) {
  const model = await (await get('/api/v1/model')).json();
  const script = asked.get('script');
  const prompt = { points: [{ ...click, label: 'positive' }] };
  const url = new URL('picture.png', location.href).pathname;
  const began = performance.now();
  const worker = start(script, text => JSON.parse(text).reply === 'progress');
  const tell = async message => JSON.parse(await worker(JSON.stringify(message)));
  const ask = async message => {
    const reply = await tell(message);
    if (reply.reply === 'failed') throw new Error(`${reply.failure}: ${reply.message}`);
    return reply;
  };
  let id = 0;
  const ready = await ask({ request: 'start', device, light: model.light });
  const loaded = performance.now();
  const open = () => ask({ request: 'open', id: ++id, url });
  const segment = () => ask({ request: 'segment', id: ++id, prompt });
  await open();
  const first = await segment();
  const done = performance.now();
  await say(`ready ${(loaded - began).toFixed(0)} ms, first mask ${(done - began).toFixed(0)} ms`);
  const mask = first.masks[0].mask;
  const probed = await ask({ request: 'probe', id: ++id, prompt });
  return {
    adapter: ready.adapter,
    start_ms: loaded - began,
    first_mask_ms: done - began,
    encode: await repeat('encode', RUNS.encode, async () => (await open()).encode_ms),
    decode: await repeat('decode', RUNS.decode, async () => void await segment()),
    vector: await repeat('vector', RUNS.encode, async () => void await ask({ request: 'vector', id: ++id, mask })),
    // A request that is refused at once.
    message: await repeat('message', RUNS.decode, async () => {
      await tell({ request: 'segment', id: ++id, prompt: {} });
    }),
    masks: first.masks.map(({ score, box }) => ({ score, box })),
    probe: { embedding: probed.embedding, masks: probed.low_res, scores: probed.scores },
  };
}

async function measure() {
  await putPicture();
  const [peer, device] = asked.get('run').split('-');
  const found = await (peer === 'ort' ? measureOrt(device) : measureFclm(device));
  return { ...found, agent: navigator.userAgent };
}

let result;
try {
  result = await measure();
} catch (error) {
  result = { failed: String(error?.stack ?? error) };
}
await fetch('result', { method: 'POST', body: JSON.stringify(result) });
