// Note that an element of the page has been in sight since the page was opened.

/** Return a function that is true once nearly all of the element was in sight, or if there is no element. */
export function sight(element) {
  if (!element) return () => true;
  let seen = false;
  const note = (entries) => {
    seen ||= entries.some((entry) => entry.isIntersecting);
  };
  new IntersectionObserver(note, { threshold: 0.9 }).observe(element);
  return () => seen || isOnTop(element);
}

/** True if the middle of the element is in sight now, also before the observer has reported anything. */
function isOnTop(element) {
  const { left, top, width, height } = element.getBoundingClientRect();
  return document.elementFromPoint(left + width / 2, top + height / 2) === element;
}
