'use strict';
// The page of captioner serve: pictures go to the service a few at a time, and come back with captions. Nothing is kept beyond this tab.

const $ = id => document.getElementById(id);
const atOnce = 4; // requests under way
const items = []; // in the order of the list
let waiting = []; // items that no request was sent for
let running = 0;
let limits = { beam_size: 16, max_len: 64, bytes: 32 << 20 };

// settings are the options of a request.
function settings() {
  const q = new URLSearchParams();
  const value = id => { const f = $(id); return f.value !== '' && f.checkValidity() ? Number(f.value) : null; };
  const beam = value('beam'), length = value('length'), others = value('others');
  const captions = (others ?? 0) + 1;
  if (length !== null) q.set('max_len', length);
  if (beam !== null) q.set('beam_size', Math.max(beam, captions));
  if (captions > 1) q.set('num_captions', captions);
  if ($('task').value) q.set('task', $('task').value);
  return q;
}

function headers(more) {
  const token = $('token').value.trim();
  return token ? { ...more, Authorization: 'Bearer ' + token } : more;
}

// say tells a screen reader what happened, one thing after the other.
function say(text) {
  const p = document.createElement('p');
  p.textContent = text;
  $('live').append(p);
  if ($('live').childElementCount > 3) $('live').firstElementChild.remove();
}

// report says what became of a picture. Who drops 200 pictures hears how many are done now and then, not 200 captions.
const reportEvery = 2000; // milliseconds
let reports = [];
function report(text) {
  reports.push(text);
  if (reports.length > 1) return;
  setTimeout(() => {
    if (reports.length <= 3) reports.forEach(say);
    else say($('progress').textContent);
    reports = [];
  }, reportEvery);
}

// note shows a message with a way back, until it is dismissed or the next one comes. forget is called when there is no
// way back any more.
let forgotten = () => {};
function note(text, undo, forget = () => {}) {
  forgotten();
  forgotten = forget;
  $('note').hidden = !text;
  $('note').firstElementChild.textContent = text;
  $('undo').hidden = !undo;
  $('undo').onclick = () => { forgotten = () => {}; note(''); undo(); };
  if (text) say(text);
}

const many = (n, what) => n === 1 ? `1 ${what}` : `${n} ${what}s`;

// add takes pictures, each a file with its name; others is how many files were left out.
function add({ pictures, others }) {
  for (const { file, name } of pictures) {
    const node = $('card').content.firstElementChild.cloneNode(true);
    const item = { file, name, node, state: '', saved: true, url: URL.createObjectURL(file) };
    const img = node.querySelector('img');
    img.onerror = () => { img.removeAttribute('src'); img.hidden = true; };
    img.src = item.url;
    node.querySelector('.name').textContent = item.name;
    node.querySelector('.name').title = item.name;
    node.querySelector('textarea').setAttribute('aria-label', 'Caption of ' + item.name);
    for (const b of node.querySelectorAll('[data-do]')) b.ariaLabel = `${b.ariaLabel ?? b.textContent}, ${item.name}`;
    node.addEventListener('click', e => act(item, e.target.closest('[data-do]')));
    node.querySelector('textarea').addEventListener('input', e => edit(item, e.target.value));
    items.push(item);
    $('list').append(node);
    start(item);
  }
  const left = others ? `${many(others, 'file')} left out: not a picture by name` : '';
  if (others) note(left);
  if (pictures.length) say(pictures.length === 1 ? `${items.at(-1).name} added` : `${pictures.length} pictures added`);
  $('results').hidden = items.length === 0;
}

// loose are files that were chosen or pasted one by one.
const loose = files => ({ pictures: [...files].map(file => ({ file, name: file.name || 'pasted picture' })), others: 0 });

function edit(item, caption) {
  item.caption = caption;
  item.edited = caption !== item.answer.caption;
  item.saved = false;
}

function start(item) {
  item.cancel?.abort();
  item.stale = null;
  waiting = waiting.filter(i => i !== item);
  waiting.push(item);
  show(item, 'waiting', 'Waiting for its turn…');
  next();
}

function next() {
  while (running < atOnce && waiting.length) {
    const item = waiting.shift();
    running++;
    caption(item).finally(() => { running--; next(); });
  }
  tell();
}

async function caption(item) {
  const cancel = item.cancel = new AbortController();
  show(item, 'working', 'Looking at it…');
  try {
    let body = item.file;
    for (let tries = 0; ; tries++) {
      const r = await send(body, cancel.signal);
      if (r.ok) return await finish(item, cancel, await r.json());
      const problem = await r.json().catch(() => ({}));
      if ((r.status === 415 || r.status === 422) && body === item.file) {
        const made = await convert(item.file); // a form that the browser can show and the service cannot read
        if (made) { body = made; continue; }
      }
      if ((r.status === 429 || r.status === 503) && tries < 20) {
        show(item, 'working', 'The service is busy; trying again in a moment…');
        await pause((Number(r.headers.get('Retry-After')) || 1) * 1000 * (1 + Math.random() / 4), cancel.signal);
        continue;
      }
      if (r.status === 401) askToken();
      return fail(item, cancel, words(r.status, problem));
    }
  } catch (e) {
    if (!cancel.signal.aborted) fail(item, cancel, 'The service cannot be reached. Is it still running?');
  }
}

function send(body, signal) {
  const type = body.type && body.type.startsWith('image/') ? body.type : 'application/octet-stream';
  return fetch('v1/captions?' + settings(), { method: 'POST', body, signal, headers: headers({ 'Content-Type': type, Accept: 'application/json' }) });
}

const pause = (time, signal) => new Promise((done, stop) => {
  const timer = setTimeout(done, time);
  signal.addEventListener('abort', () => { clearTimeout(timer); stop(new Error('stopped')); }, { once: true });
});

// convert makes a JPEG of what the browser can decode (SVG, JPEG XL on a Mac); null where it cannot.
async function convert(file) {
  try {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, 2048 / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement('canvas');
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    canvas.getContext('2d').drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return await new Promise(done => canvas.toBlob(done, 'image/jpeg', 0.92));
  } catch {
    return null;
  }
}

// words say what is wrong with a picture, for people.
function words(status, p) {
  const name = String(p.type || '').split('/').pop();
  const known = {
    'undecodable-picture': 'This is not a picture that can be read, or the file is damaged.',
    'unsupported-type': 'This kind of file is not supported. JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC and AVIF are.',
    'too-large': `The file is too large: at most ${Math.floor(limits.bytes / (1 << 20))} MB.`,
    'too-many-pixels': 'The picture has too many pixels. Scale it down first.',
    'unauthorized': 'The service wants a token: see “How captions are made”.',
    'rate-limit': 'Too many requests at once. Try again in a moment.',
    'queue-full': 'The service is too busy. Try again in a moment.',
    'draining': 'The service is being stopped. Try again in a moment.',
    'deadline': 'It took too long. Try again, or choose a smaller beam.',
    'slow-body': 'Sending the picture took too long. Try again, or send a smaller one.',
    'bad-option': 'The settings do not fit: ' + p.detail + '.',
  };
  return known[name] || (p.title ? `${p.title}: ${p.detail}.` : `The service answered with an error (${status}).`);
}

function finish(item, cancel, answer) {
  if (cancel.signal.aborted) return;
  Object.assign(item, { answer, caption: answer.caption, edited: false, saved: false });
  const node = item.node;
  node.querySelector('textarea').value = answer.caption;
  const sure = Math.round(answer.confidence * 100);
  const unsure = sure < 40 ? ' The model is unsure.' : '';
  node.querySelector('.confidence').textContent = `Confidence ${sure} % a word.${unsure}`;
  const others = node.querySelector('.others');
  others.replaceChildren(...answer.alternatives.map(a => {
    const li = document.createElement('li'), b = document.createElement('button');
    b.type = 'button';
    b.dataset.do = 'use';
    b.textContent = a.caption;
    b.title = `Use this caption (confidence ${Math.round(a.confidence * 100)} %)`;
    b.ariaLabel = `${a.caption}, use it for ${item.name}`;
    li.append(b);
    return li;
  }));
  show(item, 'done', '');
  report(`${item.name}: ${answer.caption}`);
}

function fail(item, cancel, why) {
  if (cancel.signal.aborted) return;
  item.node.querySelector('.why').textContent = why;
  item.error = why;
  show(item, 'wrong', '');
  report(`${item.name}: ${why}`);
}

function show(item, state, text) {
  item.state = state;
  const part = q => item.node.querySelector(q);
  item.node.className = 'card ' + state;
  item.node.setAttribute('aria-busy', state === 'waiting' || state === 'working');
  part('.state').textContent = text;
  part('.state').hidden = text === '';
  part('.done').hidden = state !== 'done';
  part('.failed').hidden = state !== 'wrong';
  settle(item.node);
  tell();
}

// tell updates the progress and what can be pressed.
function tell() {
  const over = items.filter(i => i.state === 'done' || i.state === 'wrong').length;
  const good = items.filter(i => i.state === 'done').length;
  const wrong = over - good;
  $('progress').textContent = `${over} of ${items.length} done` + (wrong ? `, ${wrong} failed` : '');
  $('meter').max = Math.max(items.length, 1);
  $('meter').value = over;
  $('meter').hidden = over === items.length;
  for (const b of document.querySelectorAll('[data-save]')) b.disabled = good === 0;
  $('again').disabled = items.length === 0;
  $('results').hidden = items.length === 0;
}

function act(item, button) {
  switch (button?.dataset.do) {
    case 'text': return copy(item, item.caption, button);
    case 'alt': return copy(item, `alt="${escapeHTML(item.caption)}"`, button);
    case 'more': {
      const more = item.node.querySelector('.more');
      more.hidden = !more.hidden;
      return button.setAttribute('aria-expanded', !more.hidden);
    }
    case 'use': {
      const box = item.node.querySelector('textarea');
      const before = box.value;
      box.value = button.textContent;
      edit(item, box.value);
      button.textContent = before;
      button.ariaLabel = `${before}, use it for ${item.name}`;
      return say(`Caption of ${item.name}: ${item.caption}`);
    }
    case 'retry': return start(item), item.node.querySelector('.remove').focus();
    case 'remove': return remove([item]);
  }
}

// remove takes pictures off the list. They come back with their captions where it is undone.
function remove(gone) {
  const first = items.indexOf(gone[0]), before = [...items];
  for (const item of gone) {
    item.cancel?.abort();
    item.node.remove();
  }
  waiting = waiting.filter(i => !gone.includes(i));
  items.splice(0, Infinity, ...items.filter(i => !gone.includes(i)));
  tell();
  note(`${gone.length === 1 ? gone[0].name : many(gone.length, 'picture')} removed`, () => putBack(gone, before),
    () => gone.forEach(i => URL.revokeObjectURL(i.url)));
  (items[Math.min(first, items.length - 1)]?.node.querySelector('.remove') ?? $('choose')).focus();
}

// putBack undoes remove: what was added since stands behind.
function putBack(gone, before) {
  items.splice(0, Infinity, ...before.filter(i => items.includes(i) || gone.includes(i)), ...items.filter(i => !before.includes(i)));
  $('list').replaceChildren(...items.map(i => i.node));
  for (const item of gone) if (item.state === 'waiting' || item.state === 'working') start(item);
  tell();
  say(`${many(gone.length, 'picture')} put back`);
  gone[0].node.querySelector('.remove').focus();
}

// captionAgain does all again but what a person wrote.
function captionAgain() {
  const kept = items.filter(i => i.edited).length;
  items.filter(i => !i.edited).forEach(start);
  if (kept) note(`${many(kept, 'edited caption')} kept`);
}

const escapeHTML = s => s.replace(/\s+/g, ' ').trim().replace(/[&<>"]/g, c => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);

async function copy(item, text, button) {
  let ok = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch { // no secure context, or not allowed: the old way
    const box = document.createElement('textarea');
    box.value = text;
    document.body.append(box);
    box.select();
    ok = document.execCommand('copy');
    box.remove();
    button.focus();
  }
  const label = button.dataset.label ??= button.textContent;
  button.textContent = ok ? 'Copied' : 'Not allowed';
  item.saved ||= ok;
  say(ok ? 'Copied' : 'The browser does not allow copying');
  setTimeout(() => { button.textContent = label; }, 1500);
}

// save hands all captions over as a file.
function save(form) {
  const good = items.filter(i => i.state === 'done');
  const csv = s => /[",\r\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s;
  const blob = {
    jsonl: () => new Blob(good.map(i => JSON.stringify({ path: i.name, caption: i.caption, logprob: i.answer.logprob, confidence: i.answer.confidence,
      ...(i.edited && { edited: true }), model: i.answer.model }) + '\n'), { type: 'application/jsonl' }),
    csv: () => new Blob(['path,caption,logprob,confidence\r\n', ...good.map(i => [csv(i.name), csv(i.caption), i.answer.logprob, i.answer.confidence].join(',') + '\r\n')],
      { type: 'text/csv' }),
    zip: () => zip(sidecars(good)),
  }[form]();
  const a = document.createElement('a');
  a.href = URL.createObjectURL(blob);
  a.download = 'captions.' + form;
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10000);
  for (const i of good) i.saved = true;
  say(`captions.${form} saved`);
}

// sidecars are one text file a picture, photo.txt for photo.jpg; names that are there twice get a number.
function sidecars(good) {
  const taken = new Set();
  return good.map(i => {
    const parts = i.name.split('/').map(p => p.replace(/[\\:*?"<>|\u0000-\u001f]/g, '_')).filter(p => p && p !== '.' && p !== '..');
    const stem = parts.join('/').replace(/\.[^./]*$/, '') || 'picture';
    let name = stem + '.txt';
    for (let n = 2; taken.has(name.toLowerCase()); n++) name = `${stem} ${n}.txt`;
    taken.add(name.toLowerCase());
    return { name, text: i.caption + '\n' };
  });
}

function askToken() {
  $('token-field').hidden = false;
  $('settings').open = true;
}

// about fills in what the service says of itself.
async function about() {
  try {
    const r = await fetch('v1/models', { headers: headers({}) });
    if (r.status === 401) return askToken();
    if (!r.ok) return;
    const a = await r.json();
    limits = a.limits;
    const m = a.models[0];
    $('model').textContent = 'Model: ' + m.id;
    $('beam').max = limits.beam_size;
    $('length').max = limits.max_len;
    $('others').max = limits.beam_size - 1;
    const tasks = m.tasks ?? [], task = $('task').value;
    $('task').replaceChildren(...tasks.map(t => new Option(t.replace('-', ' '), t, false, t === task)));
    $('task-field').hidden = tasks.length === 0;
    if (!$('beam').dataset.set) $('beam').value = m.defaults.beam_size;
    if (!$('length').dataset.set) $('length').value = m.defaults.max_len;
  } catch { /* the first picture will tell that the service is gone */ }
}

for (const id of ['beam', 'length', 'others']) $(id).addEventListener('input', e => { e.target.dataset.set = '1'; });
$('choose').onclick = () => $('files').click();
$('shoot').onclick = () => $('camera').click();
$('choose-folder').onclick = () => $('folder').click();
for (const id of ['files', 'camera']) $(id).onchange = e => { add(loose(e.target.files)); e.target.value = ''; };
$('folder').onchange = e => { add(chosenFolder(e.target.files)); e.target.value = ''; };
$('again').onclick = captionAgain;
$('clear').onclick = () => remove([...items]);
$('dismiss').onclick = () => { note(''); ($('results').hidden ? $('choose') : $('clear')).focus(); };
keysWithin($('list'));
$('token').onchange = about;
for (const b of document.querySelectorAll('[data-save]')) b.onclick = () => save(b.dataset.save);

// Dropping works on the whole window: a picture beside the frame must not replace the page.
let depth = 0;
const over = on => $('drop').classList.toggle('over', on);
addEventListener('dragenter', e => { e.preventDefault(); depth++; over(true); });
addEventListener('dragleave', () => { if (--depth <= 0) { depth = 0; over(false); } });
addEventListener('dragover', e => e.preventDefault());
addEventListener('drop', async e => {
  e.preventDefault();
  depth = 0;
  over(false);
  if (e.dataTransfer) add(await dropped(e.dataTransfer));
});
addEventListener('paste', e => {
  const files = [...(e.clipboardData?.files ?? [])];
  if (files.length) { e.preventDefault(); add(loose(files)); }
});
// Who leaves is asked while there are captions that were neither saved nor copied, or pictures under way.
addEventListener('beforeunload', e => {
  if (items.some(i => i.state === 'waiting' || i.state === 'working' || i.state === 'done' && !i.saved)) e.preventDefault();
});
about();
tell();
