// A grid of cards of which only those near the screen exist, so that thousands scroll smoothly.

// Cards exist so many px above and below the screen.
const AHEAD = 600;
// Least width of a card, in rem; on a phone two fit side by side.
const CARD = { wide: 14, narrow: 9.5, narrowBelow: 34 };
// Height of the text below a picture of 4 : 3, and the space between cards, in rem.
const TEXT = 5.1;
const GAP = { wide: 1.25, narrow: 0.75 };

/** Columns and sizes, in px, of cards in a list of this width. */
function shapeOf(width, rem) {
  const size = width < CARD.narrowBelow * rem ? "narrow" : "wide";
  const gap = GAP[size] * rem;
  const columns = Math.max(1, Math.floor((width + gap) / (CARD[size] * rem + gap)));
  const cardWidth = (width - gap * (columns - 1)) / columns;
  const cardHeight = Math.round(cardWidth * 0.75 + TEXT * rem);
  return { width, columns, gap, cardWidth, cardHeight, rowHeight: cardHeight + gap };
}

class PhotoGrid {
  /** `make` turns an entry into a list item with one link. */
  constructor(list, make) {
    Object.assign(this, { list, make, entries: [], cards: new Map() });
    this.measure();
    addEventListener("scroll", () => this.fill(), { passive: true });
    addEventListener("resize", () => this.fill());
    new ResizeObserver(() => this.reshape()).observe(list);
    list.addEventListener("keydown", (event) => this.listen(event));
  }

  /** Show other entries, from the first. */
  show(entries) {
    this.entries = entries;
    this.clear();
    if (this.scrolled() > 0) this.scrollTo(0);
    this.fill();
  }

  /** Px of the list that are above the screen. */
  scrolled() { return -this.list.getBoundingClientRect().top; }

  scrollTo(top) { scrollBy({ top: top - this.scrolled(), behavior: "instant" }); }

  measure() {
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.shape = shapeOf(this.list.clientWidth, rem);
  }

  clear() {
    this.list.replaceChildren();
    this.cards.clear();
    const { columns, gap, rowHeight } = this.shape;
    const rows = Math.ceil(this.entries.length / columns);
    this.list.style.height = `${Math.max(0, rows * rowHeight - gap)}px`;
  }

  /** Fit the cards to another width; the first on the screen stays there. */
  reshape() {
    if (this.list.clientWidth === this.shape.width) return;
    const before = this.shape;
    const first = Math.floor(this.scrolled() / before.rowHeight) * before.columns;
    this.measure();
    this.clear();
    if (first > 0) this.scrollTo(Math.floor(first / this.shape.columns) * this.shape.rowHeight);
    this.fill();
  }

  /** Make the cards that come near the screen, and remove the others. */
  fill() {
    const { columns, rowHeight } = this.shape;
    const top = this.scrolled();
    const first = Math.max(0, Math.floor((top - AHEAD) / rowHeight)) * columns;
    const end = Math.ceil((top + innerHeight + AHEAD) / rowHeight) * columns;
    const last = Math.min(this.entries.length, end) - 1;
    for (const [index, node] of this.cards) {
      // The focus would be lost with its card.
      if ((index >= first && index <= last) || node.contains(document.activeElement)) continue;
      node.remove();
      this.cards.delete(index);
    }
    for (let index = last; index >= first; index--) this.cardAt(index);
  }

  /** The card of an entry, made if it does not exist, in its place among the others. */
  cardAt(index) {
    if (this.cards.has(index)) return this.cards.get(index);
    const { columns, gap, cardWidth, cardHeight, rowHeight } = this.shape;
    const node = this.make(this.entries[index]);
    node.style.left = `${(index % columns) * (cardWidth + gap)}px`;
    node.style.top = `${Math.floor(index / columns) * rowHeight}px`;
    node.style.width = `${cardWidth}px`;
    node.style.height = `${cardHeight}px`;
    node.ariaPosInSet = index + 1;
    node.ariaSetSize = this.entries.length;
    node.dataset.index = index;
    const next = Math.min(...[...this.cards.keys()].filter((other) => other > index));
    this.list.insertBefore(node, this.cards.get(next) ?? null);
    this.cards.set(index, node);
    return node;
  }

  /** Arrow keys, Home and End go from card to card. */
  listen(event) {
    const from = event.target.closest("li.photo");
    const { columns } = this.shape;
    const step = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns,
      Home: -Infinity, End: Infinity,
    }[event.key];
    if (!from || !step || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const to = Math.min(Math.max(Number(from.dataset.index) + step, 0), this.entries.length - 1);
    const node = this.cardAt(to);
    node.querySelector("a").focus({ preventScroll: true });
    node.scrollIntoView({ block: "nearest", behavior: "instant" });
  }
}
