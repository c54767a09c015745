// The images of the folder, as the service makes small ones of them.

import { headers, token } from './service.js';

const patience = 80; // milliseconds that a row must stay before its image is asked for: who scrolls passes many

export const address = (item, large) =>
  'edit/image?' + new URLSearchParams({ name: item.name, v: item.stamp, ...(large && { large: 1 }) });

// picture shows an image of the folder in an element, and gives a function that stops it. A service with tokens is asked
// with one, which the address of an image cannot hold.
export function picture(img, item, large) {
  const stop = new AbortController(), url = address(item, large);
  let blob = '';
  const timer = setTimeout(async () => {
    if (!token()) return img.setAttribute('src', url);
    try {
      const r = await fetch(url, { headers: headers({}), signal: stop.signal });
      if (r.ok) img.src = blob = URL.createObjectURL(await r.blob());
    } catch { /* it is out of sight again, or the service is gone */ }
  }, large ? 0 : patience);
  return () => {
    clearTimeout(timer);
    stop.abort();
    if (!img.complete) img.removeAttribute('src'); // which ends the request
    if (blob) URL.revokeObjectURL(blob);
  };
}
