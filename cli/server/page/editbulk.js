// Changes of many captions: find and replace, and trigger words.

// pattern is what is looked for, as a regular expression, or null where there is nothing. It throws where the expression
// is none.
export function pattern({ find, matchCase, whole, regular }) {
  if (!find) return null;
  let source = regular ? find : find.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  if (whole) source = `(?<![\\p{L}\\p{N}_])(?:${source})(?![\\p{L}\\p{N}_])`;
  return new RegExp(source, matchCase ? 'gu' : 'giu');
}

// replaced is a text with all that is found exchanged; in a regular expression, $1 stands for a group.
export function replaced(text, by, { find, regular, ...how }) {
  const what = pattern({ find, regular, ...how });
  return what ? text.replace(what, regular ? by : () => by) : text;
}

// trim takes the spaces and commas off that stand between a trigger word and a caption.
const trim = s => s.trim().replace(/^[,\s]+|[,\s]+$/g, '');

const joined = (...parts) => parts.map(trim).filter(p => p).join(', ');

// triggered is a caption with words before and behind it; those that stand there already are not put there twice.
export function triggered(text, before, behind) {
  const [plain, first, last] = [text.trim(), trim(before), trim(behind)];
  const has = (first && begins(plain, first) ? 1 : 0) + (last && ends(plain, last) ? 2 : 0);
  if (!(first && !(has & 1)) && !(last && !(has & 2))) return text;
  return joined(has & 1 ? '' : first, plain, has & 2 ? '' : last);
}

const letter = /[\p{L}\p{N}_]/u;
const begins = (text, words) => text.startsWith(words) && !letter.test(text[words.length] ?? ' ');
const ends = (text, words) => text.endsWith(words) && !letter.test(text[text.length - words.length - 1] ?? ' ');

// untriggered is a caption without words that stand before and behind it.
export function untriggered(text, before, behind) {
  let [plain, first, last] = [text.trim(), trim(before), trim(behind)];
  if (first && (plain === first || plain.startsWith(first + ','))) plain = trim(plain.slice(first.length));
  if (last && plain === last) plain = '';
  if (last && plain.endsWith(', ' + last)) plain = trim(plain.slice(0, -last.length));
  return first || last ? plain : text;
}
