// The page that edits the captions of a folder: what the files hold, beside what a model says.

import { $, breather, eachFrame, many, note, report, say } from './announce.js';
import { pattern, replaced, triggered, untriggered } from './editbulk.js';
import { address, picture } from './editimage.js';
import { List, marks } from './editlist.js';
import { Queue } from './queue.js';
import * as service from './service.js';

let items = []; // {name, stamp, file, version, caption: as the file has it, text: as it is now, answer: of the model}
let folder = '', stopImage = () => {}, drawn, saving = false;
const list = new List(draw, () => $('text').focus());
const tell = eachFrame(progress);
const queue = new Queue(caption, tell);
const edited = item => item.text !== item.caption;
const key = item => `edit ${folder} ${item.name}`;

// load reads the folder. What was edited before a reload and not saved is there again.
async function load() {
  const r = await fetch('edit/files', { headers: service.headers({}) }).catch(() => null);
  if (!r?.ok) {
    if (r?.status === 401) service.askToken();
    $('progress').textContent = r ? service.words(r.status, await r.json().catch(() => ({}))) : 'The service cannot be reached. Is it still running?';
    return;
  }
  const answer = await r.json(), order = new Intl.Collator('en', { numeric: true });
  folder = answer.folder;
  $('folder').textContent = document.title = `Captions of ${folder}`;
  items = answer.images.sort((a, b) => order.compare(a.name, b.name));
  for (const item of items) {
    item.text = item.caption;
    restore(item);
  }
  const { links, names, unread, beyond, unreadable } = answer.left_out, left = [];
  if (links) left.push(`${many(links, 'link')}`);
  if (names) left.push(`${many(names, 'image')} whose name is not UTF-8`);
  if (unread) left.push(`${many(unread, 'image')} of kinds that are not read`);
  if (beyond) left.push(`${many(beyond, 'image')} beyond the first ${items.length.toLocaleString('en')}`);
  if (unreadable) left.push(`${many(unreadable, 'folder')} that cannot be read`);
  if (left.length) note('Left out: ' + left.join(', '));
  filter();
}

// keep keeps what was written over a reload, until it is saved.
function keep(item) {
  try {
    if (edited(item)) sessionStorage.setItem(key(item), JSON.stringify([item.text, item.version]));
    else sessionStorage.removeItem(key(item));
  } catch { /* no room: leaving is asked */ }
}

function restore(item) {
  const kept = sessionStorage.getItem(key(item));
  if (!kept) return;
  const [text, version] = JSON.parse(kept);
  if (text === item.caption) return sessionStorage.removeItem(key(item));
  item.text = text;
  if (version !== item.version) item.conflict = { current: item.caption, version: item.version };
}

// change gives an item another text.
function change(item, text) {
  item.text = text;
  keep(item);
  list.fresh(item);
  if (item === drawn) status();
  tell();
}

// The filters.
const kinds = {
  all: () => true,
  empty: i => !i.text.trim(),
  edited,
  captioned: i => i.answer,
  uncertain: i => i.answer && i.answer.confidence < service.model.uncertain,
  trouble: i => i.problem || i.error || i.conflict,
};

function filter() {
  const words = id => $(id).value.toLowerCase().split(/\s+/).filter(w => w), has = words('has'), lacks = words('lacks');
  const kind = kinds[$('show').value], all = has.length || lacks.length || kind !== kinds.all;
  list.set(!all ? items : items.filter(i => {
    if (!kind(i)) return false;
    const text = i.text.toLowerCase();
    return has.every(w => text.includes(w) || i.name.toLowerCase().includes(w)) && !lacks.some(w => text.includes(w));
  }));
  $('shown').textContent = all ? `${list.items.length.toLocaleString('en')} of ${items.length.toLocaleString('en')} shown` : '';
  preview();
  tell();
}

// draw shows an item beside the list.
function draw(item) {
  drawn = item;
  $('detail').hidden = !item;
  stopImage();
  if (!item) return;
  $('name').textContent = item.name;
  $('image').removeAttribute('src');
  $('image').alt = item.text || item.name;
  stopImage = picture($('image'), item, true);
  $('whole-image').href = address(item, true);
  $('whole-image').ariaLabel = `${item.name}, alone in a new tab`;
  $('file').textContent = 'in ' + item.file;
  $('text').value = item.text;
  $('text').disabled = Boolean(item.problem);
  $('previous').disabled = list.at <= 0;
  $('next').disabled = list.at >= list.items.length - 1;
  status();
}

// status shows what is special about the item that is drawn.
function status() {
  const item = drawn, { answer } = item;
  if ($('text').value !== item.text) $('text').value = item.text;
  const words = item.text.trim() ? item.text.trim().split(/\s+/).length : 0, special = marks(item);
  $('count').textContent = [many(words, 'word'), ...special].join(', ');
  $('revert').hidden = !edited(item);
  const trouble = item.problem || item.error || item.why;
  $('trouble').hidden = !trouble;
  $('trouble').textContent = trouble ?? '';
  $('conflict').hidden = !item.conflict;
  if (item.conflict) $('conflict').firstElementChild.textContent =
    `Another program has changed ${item.file} since it was read. It now says:\n“${item.conflict.current || '(nothing)'}”`;
  $('caption').disabled = item.state === 'waiting' || item.state === 'working';
  $('caption').textContent = item.state ? 'Being captioned…' : answer ? 'Caption it again' : 'Caption this image';
  $('use').hidden = $('append').hidden = !answer || Boolean(item.problem);
  $('new').classList.toggle('there', Boolean(answer));
  $('new').textContent = answer ? `${answer.caption} (confidence ${Math.round(answer.confidence * 100)} %` +
    `${answer.confidence < service.model.uncertain ? ', uncertain' : ''})` : 'None yet.';
  $('choices').replaceChildren(...(item.problem ? [] : answer?.alternatives ?? []).map(a => {
    const li = document.createElement('li'), b = document.createElement('button');
    b.type = 'button';
    b.textContent = a.caption;
    b.ariaLabel = `${a.caption}, use it for ${item.name}`;
    b.onclick = () => take(item, a.caption);
    li.append(b);
    return li;
  }));
}

// withTrigger is a new caption as it is used.
const withTrigger = text => $('always').checked ? triggered(text, $('before').value, $('behind').value) : text;

function take(item, text) {
  change(item, withTrigger(text));
  say(`Caption of ${item.name}: ${item.text}`);
}

async function caption(item) {
  const cancel = item.cancel = new AbortController();
  const q = service.settings();
  q.set('name', item.name);
  const send = signal => fetch('edit/caption?' + q, { method: 'POST', signal, headers: service.headers({ Accept: 'application/json' }) });
  mark(item, 'working');
  try {
    item.answer = await service.caption(send, cancel.signal, () => {});
    report(`${item.name}: ${item.answer.caption}`);
  } catch (e) {
    if (!cancel.signal.aborted) item.why = e.message;
  }
  mark(item, '');
}

function mark(item, state) {
  item.state = state;
  list.fresh(item);
  if (item === drawn) status();
}

let begun = 0; // of how many captions are asked for at one time
function start(some) {
  begun = (queue.busy ? begun : 0) + some.length;
  for (const item of some) {
    item.why = '';
    item.state = 'waiting';
    queue.add(item);
  }
  list.freshAll();
  if (drawn) status();
}

// progress updates what is said of all items, and what can be pressed.
function progress() {
  const open = queue.waiting.size + queue.running, changed = items.filter(edited).length;
  const text = [many(items.length, 'image')];
  if (changed) text.push(`${changed.toLocaleString('en')} edited, not saved`);
  if (open) text.push(`${(begun - open).toLocaleString('en')} of ${begun.toLocaleString('en')} captioned${queue.paused ? ', paused' : ''}`);
  if (!saving) $('progress').textContent = text.join(' · ');
  $('meter').hidden = $('pause').hidden = $('cancel').hidden = !open;
  $('meter').max = Math.max(begun, 1);
  $('meter').value = begun - open;
  $('pause').textContent = queue.paused ? 'Go on' : 'Pause';
  $('save').disabled = !changed || saving;
  $('save').textContent = changed ? `Save ${changed.toLocaleString('en')}` : 'Save';
  $('again').disabled = !list.items.length;
  const ready = list.items.some(i => i.answer);
  $('use-all').disabled = $('use-empty').disabled = !ready;
}

// save sends what was edited, some at a time. What cannot be written stays edited, with the reason.
const together = 50;
async function save() {
  const all = items.filter(i => edited(i) && !i.problem && !i.conflict);
  const held = items.filter(i => edited(i) && i.conflict).length;
  if (saving || !all.length && !held) return;
  saving = true;
  let good = 0, bad = held, first = '';
  for (let i = 0; i < all.length; i += together) {
    const some = all.slice(i, i + together);
    $('progress').textContent = `Saving: ${i.toLocaleString('en')} of ${all.length.toLocaleString('en')}`;
    $('save').disabled = true;
    const results = await send(some).catch(e => { first ||= e.message; return null; });
    if (!results) { bad += all.length - i; break; }
    results.forEach((r, n) => {
      const ok = settled(some[n], r);
      if (ok) good++;
      else { bad++; first ||= r.error; }
    });
  }
  saving = false;
  list.freshAll();
  if (drawn) status();
  tell();
  note(`${many(good, 'caption')} saved` + (bad ? `, ${bad} not` + (first ? `: ${first}` : ': see “With a problem”') : ''));
}

async function send(some) {
  const captions = some.map(i => ({ name: i.name, caption: i.sent = i.text, version: i.version }));
  const r = await fetch('edit/save', { method: 'POST', headers: service.headers({ 'Content-Type': 'application/json' }),
    body: JSON.stringify({ captions }) }).catch(() => { throw new Error('the service cannot be reached'); });
  const answer = await r.json().catch(() => ({}));
  if (!r.ok) throw new Error(service.words(r.status, answer));
  return answer.results;
}

// settled notes what became of an item that was sent, and says whether it was saved.
function settled(item, r) {
  item.error = r.conflict ? '' : r.error ?? '';
  item.conflict = r.conflict ? { current: r.current ?? '', version: r.version } : null;
  if (r.error) return false;
  for (const other of items) { // images may share one file of captions
    if (other.file !== r.file && other !== item) continue;
    if (other !== item && !edited(other)) other.text = item.sent;
    other.caption = item.sent;
    other.version = r.version;
    keep(other);
  }
  if (r.note) item.why = r.note;
  return true;
}

// bulk changes all shown items at once, and can be undone.
async function bulk(what, f) {
  const before = new Map(), rest = breather();
  for (const item of list.items) {
    if (item.problem) continue;
    const text = f(item);
    if (text === item.text) continue;
    before.set(item, item.text);
    item.text = text;
    keep(item);
    await rest();
  }
  refresh();
  note(before.size ? `${many(before.size, 'caption')} changed: ${what}` : 'No caption was changed', before.size && (() => {
    for (const [item, text] of before) {
      item.text = text;
      keep(item);
    }
    refresh();
    say('Undone');
  }));
}

function refresh() {
  list.freshAll();
  if (drawn) status();
  preview();
  tell();
}

const how = () => ({ find: $('find').value, matchCase: $('case').checked, whole: $('whole').checked, regular: $('regular').checked });

// preview says how many captions a search finds.
const preview = eachFrame(() => {
  let text = '', ok = true;
  try {
    const what = pattern(how());
    if (what) text = `in ${many(list.items.filter(i => i.text.search(what) >= 0).length, 'caption')}`;
  } catch {
    text = 'This is no regular expression.';
    ok = false;
  }
  $('found').textContent = text;
  $('replace-all').disabled = !ok || !$('find').value;
});

for (const id of ['show', 'has', 'lacks']) $(id).addEventListener('input', filter);
for (const id of ['find', 'case', 'whole', 'regular']) $(id).addEventListener('input', preview);
$('replace').onsubmit = e => {
  e.preventDefault();
  if (!$('replace-all').disabled) bulk(`“${$('find').value}” replaced`, i => replaced(i.text, $('with').value, how()));
};
$('trigger').onsubmit = e => {
  e.preventDefault();
  bulk('trigger words added', i => triggered(i.text, $('before').value, $('behind').value));
};
$('strip').onclick = () => bulk('trigger words taken off', i => untriggered(i.text, $('before').value, $('behind').value));
$('use-all').onclick = () => bulk('the new captions are used', i => i.answer ? withTrigger(i.answer.caption) : i.text);
$('use-empty').onclick = () => bulk('the new captions are used', i => i.answer && !i.text.trim() ? withTrigger(i.answer.caption) : i.text);
$('again').onclick = () => start(list.items.filter(i => !i.state));
$('caption').onclick = () => start([drawn]);
$('pause').onclick = () => { queue.pause(!queue.paused); say(queue.paused ? 'Paused' : 'Going on'); };
$('cancel').onclick = () => {
  const open = [...queue.clear(), ...items.filter(i => i.state === 'working')];
  for (const item of open) {
    item.cancel?.abort();
    item.state = '';
  }
  refresh();
  note(`${many(open.length, 'image')} cancelled`, () => start(open));
  $('again').focus();
};
$('save').onclick = save;
$('text').oninput = e => change(drawn, e.target.value);
$('use').onclick = () => take(drawn, drawn.answer.caption);
$('append').onclick = () => change(drawn, drawn.text.trim() ? `${drawn.text.trimEnd()}, ${drawn.answer.caption}` : withTrigger(drawn.answer.caption));
$('revert').onclick = () => { drawn.conflict = null; change(drawn, drawn.caption); $('text').focus(); };
$('mine').onclick = () => { drawn.version = drawn.conflict.version; drawn.caption = drawn.conflict.current; settleConflict(drawn.text); };
$('theirs').onclick = () => { drawn.version = drawn.conflict.version; drawn.caption = drawn.conflict.current; settleConflict(drawn.caption); };
function settleConflict(text) {
  drawn.conflict = null;
  change(drawn, text);
  $('text').focus();
}
$('previous').onclick = () => list.step(-1);
$('next').onclick = () => list.step(1);
$('dismiss').onclick = () => { note(''); $('list').focus(); };
$('token').addEventListener('change', load);
addEventListener('keydown', e => {
  if (e.isComposing) return;
  const command = e.ctrlKey || e.metaKey;
  if (command && !e.altKey && e.key.toLowerCase() === 's') { e.preventDefault(); return save(); }
  const step = e.altKey && !command ? { ArrowDown: 1, ArrowUp: -1 }[e.key] : command && e.key === 'Enter' ? (e.shiftKey ? -1 : 1) : 0;
  if (step && !e.target.matches('select')) {
    e.preventDefault();
    list.step(step);
    if (e.target === $('text')) $('text').setSelectionRange(0, 0);
    say(`${drawn.name}: ${drawn.text || 'no caption'}`);
  } else if (e.key === 'Escape' && e.target === $('text')) $('list').focus();
});
addEventListener('beforeunload', e => { if (items.some(edited)) e.preventDefault(); });
service.begin();
load();
