// Which cards are shown: by what became of them, by confidence, by words.

import { $ } from './announce.js';
import { model } from './service.js';

const kinds = {
  all: () => true,
  uncertain: i => i.state === 'done' && i.answer.confidence < model.uncertain,
  edited: i => i.state === 'done' && i.edited,
  failed: i => i.state === 'wrong',
  unfinished: i => i.state === 'waiting' || i.state === 'working',
};

// Filter holds what the controls say.
export class Filter {
  constructor(changed) {
    this.read();
    for (const id of ['show', 'most', 'has']) $(id).addEventListener('input', () => { this.read(); changed(); });
  }

  read() {
    this.kind = kinds[$('show').value] ?? kinds.all;
    this.most = Number($('most').value) / 100;
    $('most-text').textContent = this.most < 1 ? `at most ${$('most').value} %` : 'any';
    this.has = $('has').value.toLowerCase().split(/\s+/).filter(w => w);
  }

  get on() { return this.kind !== kinds.all || this.most < 1 || this.has.length > 0; }

  // shows says whether an item passes.
  shows(item) {
    if (!this.on) return true;
    if (!this.kind(item)) return false;
    if (this.most < 1 && !(item.answer?.confidence <= this.most)) return false;
    const text = (item.name + ' ' + (item.caption ?? '')).toLowerCase();
    return this.has.every(w => text.includes(w));
  }

  clear() {
    $('show').value = 'all';
    $('most').value = 100;
    $('has').value = '';
    this.read();
  }
}
