// Folders that are dropped or chosen: their images, with the paths below the folder.

import { breather } from './announce.js';

const imageName = /\.(jpe?g|jpe|jfif|pjpeg|pjp|mpo|a?png|webp|gif|bmp|dib|tiff?|hei[cf]|hif|avif)$/i;

// isImage says whether a file of a folder is one; in a folder, what is none is left out without a word for each.
const isImage = (file, name) => !name.split('/').some(part => part.startsWith('.') || part === '__MACOSX') &&
  (file.type.startsWith('image/') || imageName.test(name));

// chosenFolder lists the images of a folder that was chosen in a dialog, and counts the other files.
export function chosenFolder(files) {
  const all = [...files].map(file => ({ file, name: file.webkitRelativePath || file.name }));
  const images = all.filter(f => isImage(f.file, f.name));
  return { images, others: all.length - images.length };
}

// loose are files that were chosen or pasted one by one.
export const loose = files => ({ images: [...files].map(file => ({ file, name: file.name || 'pasted image' })), others: 0 });

// dropped lists what was dropped: files as they are, and the images of folders with all their subfolders. The entries
// must be asked for while the event is handled: afterwards they are gone.
export async function dropped(transfer) {
  const entries = [...transfer.items].filter(i => i.kind === 'file').map(i => ({ entry: i.webkitGetAsEntry?.(), file: i.getAsFile() }));
  const images = [], rest = breather();
  let others = 0;
  const take = async entry => {
    if (entry.isDirectory) return walk(entry);
    const file = await new Promise((done, failed) => entry.file(done, failed)), name = entry.fullPath.slice(1);
    if (isImage(file, name)) images.push({ file, name });
    else others++;
  };
  const walk = async folder => {
    const reader = folder.createReader(), inside = [];
    for (let some; (some = await new Promise((done, failed) => reader.readEntries(done, failed))).length;) inside.push(...some);
    inside.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
    for (const entry of inside) {
      await take(entry).catch(() => { others++; }); // a file that went away meanwhile
      await rest();
    }
  };
  for (const { entry, file } of entries) {
    if (entry?.isDirectory) await walk(entry).catch(() => { others++; });
    else if (file) images.push({ file, name: file.name || 'pasted image' });
  }
  return { images, others };
}
