// A card: an image with its caption, and what can be done with it.

import { $, report, say } from './announce.js';
import { settle } from './keys.js';
import { escapeHTML } from './save.js';
import { model } from './service.js';

// make builds the card of an item, without an image. act is called with what a person pressed, edit with what they wrote.
export function make(item, act, edit) {
  const node = item.node = $('card').content.firstElementChild.cloneNode(true);
  const part = q => node.querySelector(q), name = part('.name');
  name.textContent = name.title = item.name;
  part('textarea').setAttribute('aria-label', 'Caption of ' + item.name);
  for (const b of node.querySelectorAll('[data-do]')) b.ariaLabel = `${b.ariaLabel ?? b.textContent}, ${item.name}`;
  part('img').onerror = e => { e.target.removeAttribute('src'); bare(node, true); };
  bare(node, true);
  node.addEventListener('click', e => { const b = e.target.closest('[data-do]'); if (b) act(item, b); });
  part('textarea').addEventListener('input', e => edit(item, e.target.value));
}

// bare says whether a card shows no image. A class costs less than :has in the styles of a thousand cards.
function bare(node, on) {
  node.querySelector('img').hidden = on;
  node.classList.toggle('bare', on);
}

// showImage shows the image at a URL.
export function showImage(item, url) {
  if (item.url) URL.revokeObjectURL(item.url);
  item.url = url;
  const img = item.node.querySelector('img');
  bare(item.node, false);
  img.src = url;
}

// fill writes an answer into a card.
export function fill(item) {
  const { node, answer } = item, part = q => node.querySelector(q);
  part('textarea').value = item.caption;
  const unsure = answer.confidence < model.uncertain;
  node.classList.toggle('unsure', unsure);
  part('.confidence').textContent = `Confidence ${Math.round(answer.confidence * 100)} %` + (unsure ? ': uncertain, read it twice' : '');
  part('.keywords').textContent = answer.keywords?.length ? 'Keywords: ' + answer.keywords.map(k => k.keyword).join(', ') : '';
  part('.others').replaceChildren(...answer.alternatives.map(a => {
    const li = document.createElement('li'), b = document.createElement('button');
    b.type = 'button';
    b.dataset.do = 'use';
    b.textContent = a.caption;
    b.title = `Use this caption (confidence ${Math.round(a.confidence * 100)} %)`;
    b.ariaLabel = `${a.caption}, use it for ${item.name}`;
    li.append(b);
    return li;
  }));
  part('[data-do=more]').hidden = !answer.alternatives.length && !answer.keywords?.length;
}

// mark shows what state a card is in: waiting, working, done or wrong.
export function mark(item, text) {
  const { node, state } = item, part = q => node.querySelector(q);
  node.classList.remove('waiting', 'working', 'done', 'wrong');
  node.classList.add(state);
  node.setAttribute('aria-busy', state === 'waiting' || state === 'working');
  part('.state').textContent = text;
  part('.state').hidden = text === '';
  part('.done').hidden = state !== 'done';
  part('.failed').hidden = state !== 'wrong';
  part('[data-do=retry]').hidden = !item.file;
  settle(node);
}

// use exchanges the caption with an alternative.
export function use(item, button, edit) {
  const box = item.node.querySelector('textarea'), before = box.value;
  box.value = button.textContent;
  edit(item, box.value);
  button.textContent = before;
  button.ariaLabel = `${before}, use it for ${item.name}`;
  say(`Caption of ${item.name}: ${item.caption}`);
}

// more shows or hides what else there is.
export function more(item, button) {
  const more = item.node.querySelector('.more');
  more.hidden = !more.hidden;
  button.setAttribute('aria-expanded', !more.hidden);
}

// copy copies the caption, or the attribute of an image in HTML.
export async function copy(item, button) {
  const text = button.dataset.do === 'alt' ? `alt="${escapeHTML(item.caption)}"` : item.caption;
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
  say(ok ? 'Copied' : 'The browser does not allow copying');
  setTimeout(() => { button.textContent = label; }, 1500);
  return ok;
}

// fail says why an item has no caption.
export function fail(item, why) {
  item.node.querySelector('.why').textContent = why;
  report(`${item.name}: ${why}`);
}

// convert makes a JPEG of what the browser can decode (SVG, JPEG XL on a Mac); null where it cannot.
export async function convert(file) {
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
