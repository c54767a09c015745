// A queue of items that wait for a request, of which a few are under way at one time.

export class Queue {
  // run works on an item and returns a promise; changed is called when what waits or runs has changed.
  constructor(run, changed = () => {}, atOnce = 4) {
    Object.assign(this, { run, changed, atOnce, running: 0, paused: false, waiting: new Set() });
  }

  // add puts an item at the end.
  add(item) {
    this.waiting.delete(item);
    this.waiting.add(item);
    this.next();
  }

  delete(item) {
    if (this.waiting.delete(item)) this.changed();
  }

  // clear gives back what waited.
  clear() {
    const all = [...this.waiting];
    this.waiting.clear();
    this.pause(false);
    return all;
  }

  // pause holds what waits; what is under way is finished.
  pause(on) {
    this.paused = on;
    this.next();
  }

  get busy() { return this.waiting.size > 0 || this.running > 0; }

  next() {
    while (!this.paused && this.running < this.atOnce && this.waiting.size) {
      const item = this.waiting.values().next().value;
      this.waiting.delete(item);
      this.running++;
      this.run(item).finally(() => { this.running--; this.next(); });
    }
    this.changed();
  }
}
