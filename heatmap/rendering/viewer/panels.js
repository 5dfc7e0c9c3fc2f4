// The panels beside the picture. All text is set as text, never as markup.

function element(tag, className = "", ...content) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...content);
  return node;
}

function button(className, ...content) {
  const node = element("button", className, ...content);
  node.type = "button";
  return node;
}

/** A probability in words: 83%, 8.3%, <0.1%. */
function percent(probability) {
  const value = probability * 100;
  if (value >= 9.95) return `${Math.round(value)}%`;
  if (value > 0 && value < 0.05) return "<0.1%";
  return `${value.toFixed(1)}%`;
}

/** How many objects were detected, in words. */
const countDetections = (count) => `${count} detection${count === 1 ? "" : "s"}`;

/** A thin line as long as a probability is high. */
function bar(probability) {
  const line = element("span", "bar", element("span"));
  line.firstChild.style.width = `${probability * 100}%`;
  return line;
}

/** Rows with a radio button each, of which one or none is chosen. */
class RadioList {
  constructor(list, name, contents, chosen) {
    this.list = list;
    this.rows = contents.map((content, which) => {
      const input = element("input");
      Object.assign(input, { type: "radio", name });
      // Not "change": a row that is chosen can be gone to again.
      input.addEventListener("click", () => chosen(which));
      return { input, label: element("label", "row", input, ...content) };
    });
    list.append(...this.rows.map(({ label }) => label));
  }

  /** Check a row and scroll to it; null for none. */
  check(which) {
    if (which === null) {
      for (const { input } of this.rows) input.checked = false;
      return;
    }
    const { input, label } = this.rows[which];
    input.checked = true;
    // Not scrollIntoView: on a phone it would scroll the whole panel.
    const end = label.offsetTop + label.offsetHeight - this.list.clientHeight;
    this.list.scrollTop = Math.min(Math.max(this.list.scrollTop, end), label.offsetTop);
  }

  /** Show the rows of which `wanted` holds; gives their number in words. */
  limit(wanted) {
    this.rows.forEach(({ label }, which) => { label.hidden = !wanted(which); });
    const count = this.rows.filter(({ label }) => !label.hidden).length;
    return count === this.rows.length ? `${count}` : `${count} of ${this.rows.length}`;
  }
}

function titled(name) {
  const title = element("span", "name", name);
  title.title = name;
  return title;
}

/** What was found: numbered rows, those of the boxes on the picture. */
class FoundList extends RadioList {
  constructor(list, { detections, guessed }, chosen) {
    super(list, "found", detections.map(({ name, confidence }, which) => [
      element("span", "number", `${which + 1}`), titled(name),
      element("span", "value", percent(confidence) + (guessed ? "?" : "")), bar(confidence),
    ]), chosen);
  }
}

// So many classes are seen at once, without searching.
const SEEN_AT_ONCE = 7;

/** The classes that have a map. */
class ClassList extends RadioList {
  constructor({ list, search, count }, maps, chosen) {
    const pills = maps.map(() => element("span", "detected"));
    super(list, "class", maps.map(({ name, peak }, which) => [
      titled(name), pills[which], element("span", "value", percent(peak)), bar(peak),
    ]), chosen);
    Object.assign(this, { search, count, pills });
    this.names = maps.map(({ name }) => name.toLowerCase());
    search.hidden = maps.length <= SEEN_AT_ONCE;
    search.addEventListener("input", () => this.filter());
    this.filter();
  }

  /** Show the classes whose names hold all of the words, or parts of words, searched for. */
  filter() {
    const words = this.search.value.toLowerCase().split(/\s+/);
    this.count.textContent = this.limit((which) =>
      words.every((word) => this.names[which].includes(word)));
  }

  clearSearch() {
    this.search.value = "";
    this.filter();
  }

  /** Say how many detections there are of each class. */
  countDetections(counts) {
    this.pills.forEach((pill, which) => {
      pill.hidden = !counts[which];
      pill.textContent = countDetections(counts[which]);
    });
  }
}

/** Pairs of a word and its answer. */
function fillFacts(list, facts) {
  for (const [word, answer] of facts) {
    list.append(element("dt", "", word), element("dd", "", answer));
  }
}
