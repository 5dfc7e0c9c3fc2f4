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

// So many classes are seen at once, without searching.
const SEEN_AT_ONCE = 7;

/** The classes that have a map: a radio button each. */
class ClassList {
  constructor({ list, search, count }, maps, chosen) {
    Object.assign(this, { list, count });
    this.rows = maps.map((map, which) => this.row(map, () => chosen(which)));
    list.append(...this.rows.map(({ label }) => label));
    search.hidden = maps.length <= SEEN_AT_ONCE;
    search.addEventListener("input", () => this.filter(search.value));
    this.filter("");
  }

  row({ name, peak, detections }, chosen) {
    const input = element("input");
    Object.assign(input, { type: "radio", name: "class" });
    input.addEventListener("change", chosen);
    const title = element("span", "name", name);
    title.title = name;
    const label = element("label", "class", input, title);
    if (detections) label.append(element("span", "detected", countDetections(detections)));
    label.append(element("span", "value", percent(peak)), bar(peak));
    return { input, label, name: name.toLowerCase() };
  }

  choose(which) {
    const { input, label } = this.rows[which];
    input.checked = true;
    // Not scrollIntoView: on a phone it would scroll the whole panel.
    const end = label.offsetTop + label.offsetHeight - this.list.clientHeight;
    this.list.scrollTop = Math.min(Math.max(this.list.scrollTop, end), label.offsetTop);
  }

  /** Show the classes whose names hold all of the words. */
  filter(text) {
    const words = text.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const { label, name } of this.rows) {
      label.hidden = !words.every((word) => name.includes(word));
      shown += !label.hidden;
    }
    this.count.textContent = shown === this.rows.length ? `${shown}` : `${shown} of ${this.rows.length}`;
  }
}

// Touch screens have no hovering.
const HOVERS = matchMedia("(hover: hover)").matches;

// What can be pointed at, and what the panel then says.
const SAID = { window: "what a window shows", place: "what the maps say of a place" };

/** What is said of one place: by its window, or where no windows were saved by the maps. */
class PlacePanel {
  /** `what` is "window" or "place". */
  constructor({ heading, list, note, unpin }, what, chosen) {
    Object.assign(this, { heading, list, note, unpin, what, chosen });
    this.show(null, [], false);
  }

  show(cell, strongest, pinned) {
    const name = this.what[0].toUpperCase() + this.what.slice(1);
    const pointed = HOVERS ? `${name} under the pointer` : name;
    this.heading.textContent = pinned ? `Pinned ${this.what}` : pointed;
    this.unpin.hidden = !pinned;
    this.list.ariaLive = pinned ? "polite" : "off";
    this.list.replaceChildren(...strongest.map((entry) => this.row(entry)));
    this.note.textContent = this.words(cell, strongest);
  }

  words(cell, strongest) {
    if (!cell) {
      return HOVERS ? `Point at the picture to see ${SAID[this.what]}; click to pin it.`
        : `Tap the picture to see ${SAID[this.what]}.`;
    }
    const place = `Row ${cell.row}, column ${cell.column}`;
    return strongest.length ? place : `${place}: not scored`;
  }

  row({ name, map, probability }) {
    const row = element("li");
    if (map === null) row.append(element("span", "name", name));
    else {
      const link = button("name", name);
      link.title = "Show its heatmap";
      link.addEventListener("click", () => this.chosen(map));
      row.append(link);
    }
    row.append(element("span", "value", percent(probability)), bar(probability));
    return row;
  }
}

/** Pairs of a word and its answer. */
function fillFacts(list, facts) {
  for (const [word, answer] of facts) {
    list.append(element("dt", "", word), element("dd", "", answer));
  }
}
