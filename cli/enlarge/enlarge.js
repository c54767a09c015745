// A photograph is enlarged: first the small copy, then the file itself where it is still there. The page's wordsOf
// gives the text below it.
const large = document.getElementById("large"), photograph = large.querySelector("img"), openers = () => [...document.querySelectorAll(".enlarge")].filter(o => o.checkVisibility());
let shown;
function enlarge(opener) {
  if (!opener) return;
  shown = opener;
  const small = opener.querySelector("img"), link = large.querySelector("a"), whole = new Image();
  photograph.src = small.src;
  photograph.alt = small.alt;
  whole.onload = () => { if (shown === opener) photograph.src = whole.src; };
  link.hidden = !opener.href;
  if (opener.href) whole.src = link.href = opener.href;
  large.querySelector("p").textContent = wordsOf(opener);
  const all = openers(), at = all.indexOf(opener);
  for (const b of large.querySelectorAll("[data-step]")) b.disabled = !all[at + +b.dataset.step];
  if (!large.open) large.showModal();
}
const step = by => { const all = openers(); enlarge(all[all.indexOf(shown) + by]); };
document.addEventListener("click", e => {
  const opener = e.target.closest(".enlarge"), by = e.target.dataset.step;
  if (opener && !e.ctrlKey && !e.metaKey && !e.shiftKey) { e.preventDefault(); enlarge(opener); }
  if (by) step(+by);
  if (e.target === large || "close" in e.target.dataset) large.close();
});
large.addEventListener("keydown", e => { const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key]; if (by) step(by); });
large.addEventListener("close", () => shown.focus());
