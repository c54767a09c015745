// Captions stay in this tab until it is closed: a reload finds them again. Photographs do not: of each a small copy is
// kept, as long as there is room.

const prefix = 'caption ', room = 3_000_000; // characters of small copies; browsers keep some five million
const small = 96; // pixels
let next = 0, used = 0, full = false;

// write keeps a text, or says that there is no room.
function write(key, text) {
  try {
    sessionStorage.setItem(key, text);
    return true;
  } catch {
    full = true;
    return false;
  }
}

// keep keeps an item's caption. It gives false where the browser has no room for more.
export function keep(item) {
  item.key ??= ++next;
  const { name, size, modified, caption, edited, saved, answer } = item;
  return write(prefix + item.key, JSON.stringify({ name, size, modified, caption, edited, saved, answer })) && !full;
}

export function forget(item) {
  if (!item.key) return;
  used -= (sessionStorage.getItem('image ' + item.key) ?? '').length;
  sessionStorage.removeItem(prefix + item.key);
  sessionStorage.removeItem('image ' + item.key);
}

// keepImage keeps a small copy of an item's photograph. The browser decodes it beside what it shows.
export async function keepImage(item) {
  if (!item.file || used > room || sessionStorage.getItem('image ' + item.key)) return;
  try {
    const bitmap = await createImageBitmap(item.file, { resizeHeight: small, resizeQuality: 'medium' });
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext('2d').drawImage(bitmap, 0, 0);
    bitmap.close();
    const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.6 });
    const text = await new Promise(done => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result);
      reader.readAsDataURL(blob);
    });
    if (used + text.length < room && write('image ' + item.key, text)) used += text.length;
  } catch { /* the browser cannot decode it, and shows none */ }
}

// keepUnfinished keeps how many images have no caption yet.
export function keepUnfinished(n) {
  write('unfinished', String(n));
}

// kept gives what a page before this one kept, in order, and how many images had no caption.
export function kept() {
  const items = [];
  for (const key of Object.keys(sessionStorage)) {
    if (!key.startsWith(prefix)) continue;
    try {
      const n = Number(key.slice(prefix.length)), image = sessionStorage.getItem('image ' + n);
      items.push({ ...JSON.parse(sessionStorage.getItem(key)), key: n, image });
      next = Math.max(next, n);
      used += image?.length ?? 0;
    } catch {
      sessionStorage.removeItem(key);
    }
  }
  return { items: items.sort((a, b) => a.key - b.key), unfinished: Number(sessionStorage.getItem('unfinished')) || 0 };
}

// dataImage makes a blob of a small copy: the page may show blobs, and no data: URLs.
export async function dataImage(text) {
  const bytes = Uint8Array.from(atob(text.split(',')[1]), c => c.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: 'image/jpeg' }));
}
