// The keys of the page. Each does what a button does, too.

/** `keys` maps what `event.key` says to a function; while somebody types only Escape counts. */
export function listenToKeys(keys) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = keys[event.key];
    if (!act || (event.key !== "Escape" && isTyping(event.target)) || ownsKey(event)) return;
    if (document.querySelector("dialog[open]")) return;
    event.preventDefault();
    act(event);
  });
}

function isTyping(target) {
  return target instanceof Element && target.matches("input:not([type=checkbox]):not([type=range]), select, textarea");
}

/** A button is pressed by Enter, and a slider or a box that scrolls is moved by arrows. */
function ownsKey({ key, target }) {
  if (!(target instanceof Element)) return false;
  if (key === "Enter") return target.matches("button, a, summary, input");
  return key.startsWith("Arrow") && target.matches("input, select, .detail pre, .detail .prose-block");
}
