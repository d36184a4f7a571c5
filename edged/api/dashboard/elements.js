// The page's elements: finding them, and making them. What comes over the wire is set as text, never as markup.

export const by = (id) => document.getElementById(id);

export function el(tag, { text, className, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
