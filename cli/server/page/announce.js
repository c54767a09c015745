// What a page says: to a screen reader, and in the note at the foot.

export const $ = id => document.getElementById(id);

export const many = (n, what) => n === 1 ? `1 ${what}` : `${n.toLocaleString('en')} ${what}s`;

// say tells a screen reader what happened, one thing after the other.
export function say(text) {
  const p = document.createElement('p');
  p.textContent = text;
  $('live').append(p);
  if ($('live').childElementCount > 3) $('live').firstElementChild.remove();
}

// report says what became of an image. Who drops 200 images hears how many are done now and then, not 200 captions.
const reportEvery = 2000; // milliseconds
let reports = [];
export function report(text) {
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
export function note(text, undo, forget = () => {}) {
  forgotten();
  forgotten = forget;
  $('note').hidden = !text;
  document.body.classList.toggle('noted', Boolean(text));
  $('note').firstElementChild.textContent = text;
  $('undo').hidden = !undo;
  $('undo').onclick = () => { forgotten = () => {}; note(''); undo(); };
  if (text) say(text);
}

// eachFrame calls f once in the next frame, however often it is asked to.
export function eachFrame(f) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; f(); });
  };
}

// breather gives the browser a turn when work has taken a part of a frame: who does much awaits it after each step.
export function breather(most = 8) { // milliseconds
  let begun = performance.now();
  return async () => {
    if (performance.now() - begun < most) return;
    await new Promise(done => setTimeout(done));
    begun = performance.now();
  };
}
