// Captions as files: what predict writes, made of what the page holds.

import { headers, words } from './service.js';
import { zip } from './zip.js';

export const escapeHTML = s => s.replace(/\s+/g, ' ').trim()
  .replace(/[&<>"]/g, c => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);

const csv = s => /[",\r\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s;

// row is a caption with the names of captioner's JSON lines.
const row = i => ({ path: i.name, caption: i.caption, logprob: i.answer.logprob, confidence: i.answer.confidence,
  model: i.answer.model, ...(i.answer.keywords && { keywords: i.answer.keywords }) });

// formats give the name of a file, and its content: a blob, or a promise of one.
export const formats = {
  jsonl: good => ['captions.jsonl', new Blob(good.map(i => JSON.stringify({ ...row(i), ...(i.edited && { edited: true }) }) + '\n'),
    { type: 'application/jsonl' })],
  csv: good => ['captions.csv', new Blob(['path,caption,logprob,confidence\r\n',
    ...good.map(i => [csv(i.name), csv(i.caption), i.answer.logprob, i.answer.confidence].join(',') + '\r\n')], { type: 'text/csv' })],
  zip: good => ['captions.zip', zip(beside(good, '.txt').map((name, n) => ({ name, text: good[n].caption + '\n' })))],
  html: good => ['captions.html', new Blob(['<!doctype html>\n<meta charset="utf-8">\n<title>Alt text</title>\n',
    ...good.map(i => `<img src="${escapeHTML(encodeURI(i.name))}" alt="${escapeHTML(i.caption)}">\n`)], { type: 'text/html' })],
  xmp: good => ['captions-xmp.zip', exported('xmp', good).then(r => r.json()).then(a =>
    zip(beside(good, '.xmp').map((name, n) => ({ name, text: a.sidecars[n].xmp }))))],
  parquet: good => ['captions.parquet', exported('parquet', good).then(r => r.blob())],
};

// exported has the service write captions in a format that needs more than a browser has.
async function exported(format, good) {
  const r = await fetch('v1/captions:export?format=' + format, { method: 'POST',
    headers: headers({ 'Content-Type': 'application/json' }), body: JSON.stringify({ captions: good.map(row) }) });
  if (!r.ok) throw new Error(words(r.status, await r.json().catch(() => ({}))));
  return r;
}

// beside are the names of files beside images, photo.txt for photo.jpg; names that are there twice get a number.
function beside(good, extension) {
  const taken = new Set();
  return good.map(i => {
    const parts = i.name.split('/').map(p => p.replace(/[\\:*?"<>|\u0000-\u001f]/g, '_')).filter(p => p && p !== '.' && p !== '..');
    const stem = parts.join('/').replace(/\.[^./]*$/, '') || 'image';
    let name = stem + extension;
    for (let n = 2; taken.has(name.toLowerCase()); n++) name = `${stem} ${n}${extension}`;
    taken.add(name.toLowerCase());
    return name;
  });
}

// save hands captions over as a file, and gives its name.
export async function save(format, good) {
  const [name, content] = formats[format](good), a = document.createElement('a');
  a.href = URL.createObjectURL(await content);
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10000);
  return name;
}
