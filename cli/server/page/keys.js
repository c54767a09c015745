// One tab stop a card: Tab goes from card to card, the arrow keys go within one. In the box of a caption the arrow keys
// move the cursor, and leave the box at its ends.

const controls = card => [...card.querySelectorAll('textarea, button')];
const shown = card => controls(card).filter(e => !e.closest('[hidden]')); // asks for no layout, unlike checkVisibility

// stopAt makes one control of a card its tab stop.
function stopAt(card, control) {
  for (const e of controls(card)) e.tabIndex = e === control ? 0 : -1;
}

// settle gives a card a tab stop that can be seen: the first one, unless the focus is on another.
export function settle(card) {
  const all = shown(card);
  stopAt(card, all.includes(document.activeElement) ? document.activeElement : all[0]);
}

// atEnd says whether an arrow key leaves a box of text: at its beginning or its end.
export function atEnd(box, step) {
  const { selectionStart: from, selectionEnd: to, value } = box;
  return from === to && from === (step > 0 ? value.length : 0);
}

export function keysWithin(list) {
  list.addEventListener('focusin', e => {
    const card = e.target.closest('.card');
    if (card && e.target !== card) stopAt(card, e.target);
  });
  list.addEventListener('keydown', e => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
    const card = e.target.closest('.card');
    if (!step || !card || e.altKey || e.ctrlKey || e.metaKey || e.shiftKey || e.isComposing) return;
    if (e.target.matches('textarea') && !atEnd(e.target, step)) return;
    const all = shown(card), next = all[all.indexOf(e.target) + step];
    if (!next) return;
    e.preventDefault();
    next.focus();
  });
}
