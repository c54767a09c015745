// What a page asks of the service, and what the answers mean for people.

import { $ } from './announce.js';

// model is what the service says of its model and its limits, as far as it has answered.
export const model = { uncertain: 0.4, limits: { beam_size: 16, max_len: 64, bytes: 32 << 20 } };

// settings are the options of a request.
export function settings() {
  const q = new URLSearchParams();
  const value = id => { const f = $(id); return f.value !== '' && f.checkValidity() ? Number(f.value) : null; };
  const beam = value('beam'), length = value('length'), others = value('others'), words = value('words');
  const captions = (others ?? 0) + 1;
  if (length !== null) q.set('max_len', length);
  if (beam !== null) q.set('beam_size', Math.max(beam, captions));
  if (captions > 1) q.set('num_captions', captions);
  if (words) q.set('keywords', words);
  if ($('task').value) q.set('task', $('task').value);
  if ($('which').length > 1) q.set('model', $('which').value);
  return q;
}

export const token = () => $('token').value.trim();

export function headers(more) {
  return token() ? { ...more, Authorization: 'Bearer ' + token() } : more;
}

export function askToken() {
  $('token-field').hidden = false;
  $('settings').open = true;
}

// Problem is an error in words for people.
export class Problem extends Error {}

const pause = (time, signal) => new Promise((done, stop) => {
  const timer = setTimeout(done, time);
  signal.addEventListener('abort', () => { clearTimeout(timer); stop(new Error('stopped')); }, { once: true });
});

// caption asks for a caption: send makes a request, and is called again where the service is busy. Where mend is given,
// it may change what send sends after an answer that the image cannot be read. It throws a Problem.
export async function caption(send, signal, busy, mend = async () => false) {
  for (let tries = 0; ; tries++) {
    let r;
    try {
      r = await send(signal);
    } catch (e) {
      throw signal.aborted ? e : new Problem('The service cannot be reached. Is it still running?');
    }
    if (r.ok) return r.json();
    const problem = await r.json().catch(() => ({}));
    if ((r.status === 415 || r.status === 422) && await mend()) continue;
    if ((r.status === 429 || r.status === 503) && tries < 20) {
      busy();
      await pause((Number(r.headers.get('Retry-After')) || 1) * 1000 * (1 + Math.random() / 4), signal);
      continue;
    }
    if (r.status === 401) askToken();
    throw new Problem(words(r.status, problem));
  }
}

// words say what is wrong with an image, for people.
export function words(status, p) {
  const name = String(p.type || '').split('/').pop();
  const known = {
    'undecodable-picture': 'This is not an image that can be read, or the file is damaged.',
    'unsupported-type': 'This kind of file is not supported. JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC and AVIF are.',
    'too-large': `The file is too large: at most ${Math.floor(model.limits.bytes / (1 << 20))} MB.`,
    'too-many-pixels': 'The image has too many pixels. Scale it down first.',
    'unauthorized': 'The service wants a token: see “How captions are made”.',
    'rate-limit': 'Too many requests at once. Try again in a moment.',
    'queue-full': 'The service is too busy. Try again in a moment.',
    'draining': 'The service is being stopped. Try again in a moment.',
    'deadline': 'It took too long. Try again, or choose a smaller beam.',
    'slow-body': 'Sending the image took too long. Try again, or send a smaller one.',
    'bad-option': 'The settings do not fit: ' + p.detail + '.',
  };
  return known[name] || (p.title ? `${p.title}: ${p.detail}.` : `The service answered with an error (${status}).`);
}

// about fills in what the service says of itself.
export async function about() {
  try {
    const r = await fetch('v1/models', { headers: headers({}) });
    if (r.status === 401) return askToken();
    if (!r.ok) return;
    const a = await r.json(), which = $('which').value;
    model.limits = a.limits;
    $('which').replaceChildren(...a.models.map(m => new Option(m.id, m.id, false, m.id === which)));
    if (!$('which').value) $('which').selectedIndex = 0;
    $('which-field').hidden = a.models.length < 2;
    describe(a.models.find(m => m.id === $('which').value) ?? a.models[0]);
    $('which').onchange = () => describe(a.models.find(m => m.id === $('which').value));
  } catch { /* the first image will show that the service is gone */ }
}

// describe fills in what one model can do.
function describe(m) {
  model.uncertain = m.uncertain_below || 0.4;
  $('model').textContent = 'Model: ' + m.id;
  $('beam').max = model.limits.beam_size;
  $('length').max = model.limits.max_len;
  $('others').max = model.limits.beam_size - 1;
  const tasks = m.tasks ?? [], task = $('task').value;
  $('task').replaceChildren(...tasks.map(t => new Option(t.replace('-', ' '), t, false, t === task)));
  $('task-field').hidden = tasks.length === 0;
  if (!$('beam').dataset.set) $('beam').value = m.defaults.beam_size;
  if (!$('length').dataset.set) $('length').value = m.defaults.max_len;
  dispatchEvent(new Event('model'));
}

// begin makes the fields of the settings work.
export function begin() {
  for (const id of ['beam', 'length', 'others']) $(id).addEventListener('input', e => { e.target.dataset.set = '1'; });
  $('token').addEventListener('change', about);
  return about();
}
