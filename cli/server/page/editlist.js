// A list of thousands of images, of which only the rows in sight are in the document.

import { $, eachFrame } from './announce.js';
import { picture } from './editimage.js';

const height = 72; // pixels of a row, as in edit.css
const spare = 6; // rows above and below those in sight

export class List {
  // chosen is called with the item that a person chose, opened when they want to write.
  constructor(chosen, opened) {
    Object.assign(this, { chosen, items: [], at: -1, rows: new Map() });
    this.draw = eachFrame(() => this.render());
    $('list').addEventListener('scroll', this.draw, { passive: true });
    new ResizeObserver(this.draw).observe($('list'));
    $('list').addEventListener('click', e => {
      const row = e.target.closest('.row');
      if (row) this.choose(Number(row.dataset.at));
    });
    $('list').addEventListener('keydown', e => {
      const page = Math.max(1, Math.floor($('list').clientHeight / height) - 1);
      const to = { ArrowDown: this.at + 1, ArrowUp: this.at - 1, PageDown: this.at + page, PageUp: this.at - page,
        Home: 0, End: this.items.length - 1 }[e.key];
      if (e.altKey || e.ctrlKey || e.metaKey) return;
      if (e.key === 'Enter') { e.preventDefault(); return opened(); }
      if (to === undefined || !this.items.length) return;
      e.preventDefault();
      this.choose(Math.min(Math.max(to, 0), this.items.length - 1));
    });
  }

  get item() { return this.items[this.at]; }

  // set shows these items. The one that was chosen stays so, if it is among them.
  set(items) {
    const before = this.item;
    this.items = items;
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
    $('rows').style.height = `${items.length * height}px`;
    this.at = -1;
    const at = Math.max(items.indexOf(before), 0);
    if (items.length) this.choose(at);
    else this.chosen(undefined);
    this.draw();
  }

  // choose chooses the item at a place, and brings it into sight.
  choose(at) {
    if (!this.items[at]) return;
    this.at = at;
    const list = $('list'), top = at * height;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + height > list.scrollTop + list.clientHeight) list.scrollTop = top + height - list.clientHeight;
    this.render();
    list.setAttribute('aria-activedescendant', 'row' + at);
    this.chosen(this.item);
  }

  step(by) { this.choose(Math.min(Math.max(this.at + by, 0), this.items.length - 1)); }

  // fresh shows an item as it is now.
  fresh(item) {
    for (const row of this.rows.values()) if (row.item === item) fill(row);
  }

  freshAll() {
    for (const row of this.rows.values()) fill(row);
  }

  render() {
    const { scrollTop, clientHeight } = $('list');
    const from = Math.max(0, Math.floor(scrollTop / height) - spare);
    const to = Math.min(this.items.length, Math.ceil((scrollTop + clientHeight) / height) + spare);
    for (const [at, row] of this.rows) {
      if (at >= from && at < to || at === this.at) continue;
      row.remove();
      row.stop();
      this.rows.delete(at);
    }
    for (let at = from; at < to; at++) this.row(at);
    if (this.at >= 0) this.row(this.at); // a screen reader is told of it wherever it is
    for (const [at, row] of this.rows) row.setAttribute('aria-selected', at === this.at);
  }

  row(at) {
    if (this.rows.has(at)) return;
    const row = document.createElement('div'), item = this.items[at];
    row.className = 'row';
    row.id = 'row' + at;
    row.dataset.at = at;
    row.item = item;
    row.style.transform = `translateY(${at * height}px)`;
    row.setAttribute('role', 'option');
    row.setAttribute('aria-setsize', this.items.length);
    row.setAttribute('aria-posinset', at + 1);
    row.innerHTML = '<img alt=""><div><p class="name"></p><p class="said"></p><p class="marks"></p></div>';
    row.stop = picture(row.firstElementChild, item);
    fill(row);
    this.rows.set(at, row);
    $('rows').append(row);
  }
}

// marks say what is special about an item.
export function marks(item) {
  const all = [];
  if (item.problem || item.error || item.conflict) all.push('problem');
  if (item.text !== item.caption) all.push('edited');
  if (item.state === 'waiting') all.push('waiting');
  if (item.state === 'working') all.push('being captioned');
  if (item.answer) all.push('new caption');
  return all;
}

function fill(row) {
  const { item } = row, [name, said, mark] = row.querySelectorAll('p');
  name.textContent = item.name;
  said.textContent = item.text || 'no caption';
  said.classList.toggle('none', !item.text);
  mark.textContent = marks(item).join(', ');
  mark.hidden = !mark.textContent;
  row.classList.toggle('trouble', Boolean(item.problem || item.error || item.conflict));
}
