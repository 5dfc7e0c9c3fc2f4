// The tooltip: what is said of one place.

// Between the place and the tooltip, screen px; less than half of the room that a finger needs.
const TIP_AWAY_PX = 16;
const TIP_MARGIN_PX = 6;

/** Where a length begins beside a place: behind it, or before it where that does not fit. */
function beside(place, length, room) {
  const behind = place + TIP_AWAY_PX;
  const start = behind + length + TIP_MARGIN_PX <= room ? behind : place - TIP_AWAY_PX - length;
  return Math.max(TIP_MARGIN_PX, Math.min(start, room - length - TIP_MARGIN_PX));
}

/** What is said of a place: by its window, or where no windows were saved by the maps. */
class Tip {
  /** `what` is "Window" or "Place". */
  constructor({ tip, heading, list, note, unpin }, what, chosen) {
    Object.assign(this, { tip, heading, list, note, unpin, what, chosen });
  }

  hide() {
    this.tip.hidden = true;
    this.tip.classList.remove("pinned");
  }

  /** `spot` is { x, y, cell }, x and y in px of the whole photo. */
  show({ x, y, cell }, strongest, pinned) {
    this.tip.hidden = false;
    this.tip.classList.toggle("pinned", pinned);
    this.heading.textContent = `${this.what} at ${Math.floor(x)}, ${Math.floor(y)}`;
    this.unpin.hidden = !pinned;
    this.tip.ariaLive = pinned ? "polite" : "off";
    this.list.replaceChildren(...strongest.map((entry) => this.row(entry)));
    const place = `Row ${cell.row}, column ${cell.column}`;
    this.note.textContent = strongest.length ? place : `${place}: not scored`;
  }

  /** Beside a place on the stage, within it. */
  moveTo({ x, y }, { width, height }) {
    this.tip.style.left = `${beside(x, this.tip.offsetWidth, width)}px`;
    this.tip.style.top = `${beside(y, this.tip.offsetHeight, height)}px`;
  }

  row({ name, map, probability }) {
    const row = element("li");
    if (map === null) row.append(titled(name));
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
