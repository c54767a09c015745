'use strict';
// Folders that are dropped or chosen: their pictures, with the paths below the folder.

const pictureName = /\.(jpe?g|jfif|png|webp|gif|bmp|tiff?|heic|heif|avif)$/i;

// isPicture says whether a file of a folder is one; in a folder, what is none is left out without a word for each.
const isPicture = (file, name) => !name.split('/').some(part => part.startsWith('.') || part === '__MACOSX') &&
  (file.type.startsWith('image/') || pictureName.test(name));

// chosenFolder lists the pictures of a folder that was chosen in a dialog, and counts the other files.
function chosenFolder(files) {
  const all = [...files].map(file => ({ file, name: file.webkitRelativePath || file.name }));
  const pictures = all.filter(f => isPicture(f.file, f.name));
  return { pictures, others: all.length - pictures.length };
}

// dropped lists what was dropped: files as they are, and the pictures of folders with all their subfolders. The entries
// must be asked for while the event is handled: afterwards they are gone.
async function dropped(transfer) {
  const entries = [...transfer.items].filter(i => i.kind === 'file').map(i => ({ entry: i.webkitGetAsEntry?.(), file: i.getAsFile() }));
  const pictures = [];
  let others = 0;
  const take = async entry => {
    if (entry.isDirectory) return walk(entry);
    const file = await new Promise((done, failed) => entry.file(done, failed)), name = entry.fullPath.slice(1);
    if (isPicture(file, name)) pictures.push({ file, name });
    else others++;
  };
  const walk = async folder => {
    const reader = folder.createReader(), inside = [];
    for (let some; (some = await new Promise((done, failed) => reader.readEntries(done, failed))).length;) inside.push(...some);
    inside.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
    for (const entry of inside) await take(entry).catch(() => { others++; }); // a file that went away meanwhile
  };
  for (const { entry, file } of entries) {
    if (entry?.isDirectory) await walk(entry).catch(() => { others++; });
    else if (file) pictures.push({ file, name: file.name || 'pasted picture' });
  }
  return { pictures, others };
}
