// The page's parts are functions from data to elements. `show` brings what stands there in line with what should,
// so that focus, selection, what is ticked and what is opened stay where they are while figures change every second.
// Text is only ever set as text. Clicks are told by `data-act`, to the one listener in main.js.

export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function show(place, ...children) {
  const wanted = h("div", {}, ...children);
  children_in_line(place, [...wanted.childNodes]);
}

const KEPT = new Set(["open", "checked"]); // the reader's own, set only when an element is new

function in_line(old, wanted) {
  if (old.nodeType !== wanted.nodeType || old.nodeName !== wanted.nodeName) {
    old.replaceWith(wanted);
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== wanted.data) old.data = wanted.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!wanted.hasAttribute(name) && !KEPT.has(name)) old.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (!KEPT.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  children_in_line(old, [...wanted.childNodes]);
}

function children_in_line(place, wanted) {
  const keyed = new Map([...place.childNodes].filter(key_of).map((node) => [key_of(node), node]));
  wanted.forEach((node, index) => {
    const known = keyed.get(key_of(node));
    const here = place.childNodes[index];
    if (known && known !== here) place.insertBefore(known, here ?? null);
    const old = place.childNodes[index];
    if (old && key_of(old) === key_of(node)) in_line(old, node);
    else place.insertBefore(node, old ?? null);
  });
  while (place.childNodes.length > wanted.length) place.lastChild.remove();
}

function key_of(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null;
}
