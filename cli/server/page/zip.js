// Writes zip archives of small texts, stored as they are.

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

function crc32(bytes) {
  let c = 0xffffffff;
  for (const b of bytes) c = crcTable[(c ^ b) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

// zip makes an archive of [{name, text}]; names must differ.
export function zip(entries) {
  const utf8 = new TextEncoder();
  const parts = [], index = [];
  let at = 0;
  const record = (size, fill) => {
    const v = new DataView(new ArrayBuffer(size));
    fill(v);
    return new Uint8Array(v.buffer);
  };
  // The fields that a file's own header and its place in the index share, from offset o on: version, UTF-8 names, stored, 1 January 1980.
  const shared = (v, o, e) => {
    v.setUint16(o, 20, true);
    v.setUint16(o + 2, 0x0800, true);
    v.setUint16(o + 8, 0x21, true);
    v.setUint32(o + 10, crc32(e.data), true);
    v.setUint32(o + 14, e.data.length, true);
    v.setUint32(o + 18, e.data.length, true);
    v.setUint16(o + 22, e.name.length, true);
  };
  for (const { name, text } of entries) {
    const e = { name: utf8.encode(name), data: utf8.encode(text) };
    const head = record(30, v => { v.setUint32(0, 0x04034b50, true); shared(v, 4, e); });
    index.push(record(46, v => {
      v.setUint32(0, 0x02014b50, true);
      v.setUint16(4, 20, true);
      shared(v, 6, e);
      v.setUint32(42, at, true);
    }), e.name);
    parts.push(head, e.name, e.data);
    at += head.length + e.name.length + e.data.length;
  }
  const size = index.reduce((n, p) => n + p.length, 0);
  const end = record(22, v => {
    v.setUint32(0, 0x06054b50, true);
    v.setUint16(8, entries.length, true);
    v.setUint16(10, entries.length, true);
    v.setUint32(12, size, true);
    v.setUint32(16, at, true);
  });
  return new Blob([...parts, ...index, end], { type: 'application/zip' });
}
