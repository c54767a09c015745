// The page of captioner serve: images go to the service a few at a time, and come back with captions. Captions are kept
// in this tab until it is closed, images only as long as the page is open.

import { $, breather, eachFrame, many, note, report, say } from './announce.js';
import * as card from './card.js';
import { Filter } from './filter.js';
import { chosenFolder, dropped, loose } from './folder.js';
import { keysWithin } from './keys.js';
import { Queue } from './queue.js';
import { save } from './save.js';
import * as service from './service.js';
import * as session from './session.js';

const items = []; // in the order of the list
const counts = { waiting: 0, working: 0, done: 0, wrong: 0 };
const tell = eachFrame(progress);
const queue = new Queue(caption, tell);
const filter = new Filter(filterAll);
let rate = null; // when captions were last begun, and how many were over then

// add takes images, each a file with its name; others is how many files were left out. It works in steps: the page
// answers meanwhile, however many there are.
async function add({ images, others }) {
  const rest = breather(), lost = new Map(items.filter(i => !i.file).map(i => [identity(i), i]));
  let again = 0;
  for (const { file, name } of images) {
    const known = lost.get(identity({ name, size: file.size, modified: file.lastModified }));
    if (known) {
      again++;
      known.file = file;
      card.showImage(known, URL.createObjectURL(file));
      card.mark(known, '');
      continue;
    }
    const item = place({ file, name, size: file.size, modified: file.lastModified, saved: true });
    card.showImage(item, URL.createObjectURL(file));
    start(item);
    await rest();
  }
  const left = [];
  if (others) left.push(`${many(others, 'file')} left out: not an image by name`);
  if (again) left.push(`${many(again, 'image')} had a caption here already`);
  if (left.length) note(left.join('. '));
  if (images.length) say(images.length === 1 ? `${images[0].name} added` : `${many(images.length, 'image')} added`);
}

const identity = i => `${i.name} ${i.size} ${i.modified}`;

// place puts an item at the end of the list.
function place(item) {
  card.make(item, act, edit);
  items.push(item);
  $('list').append(item.node);
  $('results').hidden = false;
  return item;
}

function edit(item, caption) {
  item.caption = caption;
  item.edited = caption !== item.answer.caption;
  item.saved = false;
  keep(item);
}

let full = false;
function keep(item) {
  if (session.keep(item) || full) return;
  full = true;
  note('The browser has no room to keep more captions over a reload: save them before you leave.');
}

function start(item) {
  item.cancel?.abort();
  if (!counts.waiting && !counts.working) rate = null;
  show(item, 'waiting', 'Waiting for its turn…');
  queue.add(item);
}

async function caption(item) {
  const cancel = item.cancel = new AbortController();
  let body = item.file;
  const send = signal => {
    const type = body.type && body.type.startsWith('image/') ? body.type : 'application/octet-stream';
    return fetch('v1/captions?' + service.settings(), { method: 'POST', body, signal,
      headers: service.headers({ 'Content-Type': type, Accept: 'application/json' }) });
  };
  const mend = async () => { // a kind that the browser can show and the service cannot read
    const made = body === item.file && await card.convert(item.file);
    if (made) body = made;
    return Boolean(made);
  };
  rate ??= { since: performance.now(), over: counts.done + counts.wrong };
  show(item, 'working', 'Looking at it…');
  try {
    const busy = () => show(item, 'working', 'The service is busy; trying again in a moment…');
    const answer = await service.caption(send, cancel.signal, busy, mend);
    if (!cancel.signal.aborted) finish(item, answer);
  } catch (e) {
    if (!cancel.signal.aborted) wrong(item, e.message);
  }
}

function finish(item, answer) {
  Object.assign(item, { answer, caption: answer.caption, edited: false, saved: false });
  card.fill(item);
  show(item, 'done', '');
  keep(item);
  session.keepImage(item);
  report(`${item.name}: ${answer.caption}`);
}

function wrong(item, why) {
  card.fail(item, why);
  show(item, 'wrong', '');
}

function show(item, state, text) {
  if (item.state) counts[item.state]--;
  counts[state]++;
  item.state = state;
  card.mark(item, text);
  item.node.hidden = !filter.shows(item);
  tell();
}

// progress updates what is said of all items, and what can be pressed.
function progress() {
  const over = counts.done + counts.wrong, open = counts.waiting + counts.working;
  let text = `${over.toLocaleString('en')} of ${items.length.toLocaleString('en')} done`;
  if (counts.wrong) text += `, ${counts.wrong.toLocaleString('en')} failed`;
  if (queue.paused) text += ', paused';
  else if (open) text += remaining(over, open);
  $('progress').textContent = text;
  $('meter').max = Math.max(items.length, 1);
  $('meter').value = over;
  $('meter').hidden = open === 0;
  $('pause').hidden = $('cancel').hidden = open === 0;
  $('pause').textContent = queue.paused ? 'Go on' : 'Pause';
  $('save').disabled = counts.done === 0;
  $('again').disabled = items.length === 0;
  $('results').hidden = items.length === 0;
  $('shown').textContent = filter.on ? `${items.filter(i => !i.node.hidden).length} of ${items.length} shown` : '';
  session.keepUnfinished(open);
}

// remaining says how long it will take, after enough were done to tell.
function remaining(over, open) {
  const done = over - (rate?.over ?? over), seconds = rate ? (performance.now() - rate.since) / 1000 : 0;
  if (done < 8 || seconds < 3) return '';
  const left = open * seconds / done;
  return left < 60 ? ', less than a minute left' : `, about ${many(Math.ceil(left / 60), 'minute')} left`;
}

async function filterAll() {
  const rest = breather();
  for (const item of [...items]) {
    item.node.hidden = !filter.shows(item);
    await rest();
  }
  tell();
}

async function act(item, button) {
  switch (button.dataset.do) {
    case 'text': case 'alt': {
      if (await card.copy(item, button)) item.saved = true;
      return keep(item);
    }
    case 'more': return card.more(item, button);
    case 'use': return card.use(item, button, edit);
    case 'retry': return start(item), item.node.querySelector('.remove').focus();
    case 'remove': return remove([item]);
  }
}

// remove takes images off the list. They come back with their captions where it is undone.
function remove(gone) {
  const first = items.indexOf(gone[0]), before = [...items], all = new Set(gone);
  for (const item of gone) {
    item.cancel?.abort();
    item.node.remove();
    queue.delete(item);
    counts[item.state]--;
    session.forget(item);
  }
  items.splice(0, Infinity, ...items.filter(i => !all.has(i)));
  tell();
  $('results').hidden = items.length === 0;
  note(`${gone.length === 1 ? gone[0].name : many(gone.length, 'image')} removed`, () => putBack(gone, before),
    () => gone.forEach(i => URL.revokeObjectURL(i.url)));
  (items[Math.min(first, items.length - 1)]?.node.querySelector('.remove') ?? $('choose')).focus();
}

// putBack undoes remove: what was added since stands behind.
async function putBack(gone, before) {
  const back = new Set(gone), now = new Set(items), was = new Set(before);
  items.splice(0, Infinity, ...before.filter(i => now.has(i) || back.has(i)), ...items.filter(i => !was.has(i)));
  $('list').replaceChildren(...items.map(i => i.node));
  $('results').hidden = false;
  gone[0].node.querySelector('.remove').focus();
  const rest = breather();
  for (const item of gone) {
    counts[item.state]++;
    if (item.state === 'waiting' || item.state === 'working') start(item);
    else if (item.state === 'done') keep(item);
    await rest();
  }
  tell();
  say(`${many(gone.length, 'image')} put back`);
}

// captionAgain does all again but what a person wrote, and what only its caption is left of.
async function captionAgain() {
  const kept = items.filter(i => i.edited).length, lost = items.filter(i => !i.file && !i.edited).length;
  await startAll(items.filter(i => !i.edited && i.file));
  const said = [];
  if (kept) said.push(`${many(kept, 'edited caption')} kept`);
  if (lost) said.push(`${many(lost, 'image')} not here any more since the page was loaded again: add ${lost === 1 ? 'it' : 'them'} again`);
  if (said.length) note(said.join('. '));
}

// cancel ends what waits and what is under way. What has a caption keeps it.
async function cancel() {
  queue.clear();
  const open = items.filter(i => i.state === 'waiting' || i.state === 'working'), rest = breather();
  for (const item of open) item.cancel?.abort();
  for (const item of open) {
    item.node.querySelector('.why').textContent = 'Cancelled.';
    show(item, 'wrong', '');
    await rest();
  }
  note(`${many(open.length, 'image')} cancelled`, () => startAll(open));
  $('choose').focus();
}

async function startAll(some) {
  const rest = breather();
  for (const item of some) {
    start(item);
    await rest();
  }
}

async function saveAll() {
  const good = items.filter(i => i.state === 'done');
  try {
    const name = await save($('format').value, good);
    for (const i of good) {
      i.saved = true;
      keep(i);
    }
    note(`${many(good.length, 'caption')} saved as ${name}`);
  } catch (e) {
    note('Not saved. ' + (e instanceof TypeError ? 'The service cannot be reached. JSONL, CSV and text files need none.' : e.message));
  }
}

// restore shows what this tab had before it was loaded again.
async function restore() {
  const { items: before, unfinished } = session.kept(), rest = breather();
  for (const old of before) {
    const item = place(old);
    if (old.image) session.dataImage(old.image).then(url => { if (!item.file) card.showImage(item, url); });
    delete item.image;
    card.fill(item);
    show(item, 'done', '');
    await rest();
  }
  if (unfinished) note(`${many(unfinished, 'image')} had no caption when the page was loaded again: add ${unfinished === 1 ? 'it' : 'them'} again`);
}

$('choose').onclick = () => $('files').click();
$('shoot').onclick = () => $('camera').click();
$('choose-folder').onclick = () => $('folder').click();
for (const id of ['files', 'camera']) $(id).onchange = e => { add(loose([...e.target.files])); e.target.value = ''; };
$('folder').onchange = e => { add(chosenFolder([...e.target.files])); e.target.value = ''; };
$('again').onclick = captionAgain;
$('pause').onclick = () => { queue.pause(!queue.paused); say(queue.paused ? 'Paused' : 'Going on'); };
$('cancel').onclick = cancel;
$('clear').onclick = () => remove([...items]);
$('save').onclick = saveAll;
$('dismiss').onclick = () => { note(''); ($('results').hidden ? $('choose') : $('clear')).focus(); };
addEventListener('model', filterAll);
keysWithin($('list'));

// Dropping works on the whole window: an image beside the frame must not replace the page.
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
// Who leaves is asked while there are captions that were neither saved nor copied, or images under way.
addEventListener('beforeunload', e => {
  if (counts.waiting || counts.working || items.some(i => i.state === 'done' && !i.saved)) e.preventDefault();
});
service.begin();
restore().then(tell);
