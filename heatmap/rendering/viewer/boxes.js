// The boxes on the picture, each with its name.

/** Place an element by shares of the photo: left, top, right, bottom. */
function placeInFrame(placed, [left, top, right, bottom]) {
  placed.style.left = `${left * 100}%`;
  placed.style.top = `${top * 100}%`;
  placed.style.width = `${(right - left) * 100}%`;
  placed.style.height = `${(bottom - top) * 100}%`;
}

/** Where a name can be at its box, best first: left, top, right, bottom on the stage. */
function nameRoom([left, top, right, bottom], { width, height }, view) {
  const inside = [[left, top], [left, bottom - height], [right - width, top]];
  const outside = [
    [left, top - height], [left, bottom], [right - width, top - height], [right - width, bottom],
  ];
  // Inside a small box it would cover the object.
  const isSmall = right - left < width || bottom - top < 2 * height;
  const corners = isSmall ? [...outside, ...inside] : [inside[0], ...outside, ...inside.slice(1)];
  const held = (start, side, stage) => Math.max(0, Math.min(start, stage - side));
  return corners.map(([x, y]) => [held(x, width, view.width), held(y, height, view.height)])
    .map(([x, y]) => [x, y, x + width, y + height]);
}

/** Whether two boxes share more than an edge. */
function overlap(one, other) {
  return one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];
}

/** The boxes of the detections or guesses, each with its name, which is a button. */
class Boxes {
  constructor(root, { detections, guessed }, [height, width], chosen) {
    this.detections = detections;
    this.boxes = detections.map((detection, which) => {
      const [left, top, right, bottom] = detection.xyxy;
      const name = element("span", "name", detection.name);
      const tag = button("tag", name, ` ${percent(detection.confidence)}${guessed ? "?" : ""}`);
      // With the keyboard they are selected in the list.
      tag.tabIndex = -1;
      tag.addEventListener("click", () => chosen(which));
      const box = element("div", guessed ? "box guessed" : "box", tag);
      placeInFrame(box, [left / width, top / height, right / width, bottom / height]);
      // The most confident lie on top.
      box.style.zIndex = detections.length - which;
      return box;
    });
    root.append(...this.boxes);
    this.sizes = this.boxes.map(({ firstChild: { offsetWidth, offsetHeight } }) =>
      ({ width: offsetWidth, height: offsetHeight }));
  }

  /** Show those of which `wanted` holds. */
  limit(wanted) {
    this.boxes.forEach((box, which) => { box.hidden = !wanted(which); });
  }

  /** Mark one of them, and set back those of other classes than the shown one. */
  mark(selected, map) {
    const rank = (which) => (which === selected ? 0 : this.detections[which].map === map ? 1 : 2);
    this.boxes.forEach((box, which) => {
      box.classList.toggle("selected", rank(which) === 0);
      box.classList.toggle("other", rank(which) === 2);
    });
    // Which names get room first; the sort keeps the more confident before the less.
    this.order = [...this.boxes.keys()].sort((one, other) => rank(one) - rank(other));
  }

  /** Place the names so that none covers another, nor what is `taken`; one without room hides. */
  arrange(view, taken) {
    for (const which of this.order) {
      if (this.boxes[which].hidden) continue;
      const box = this.onStage(which, view);
      const tag = this.boxes[which].firstChild;
      const seen = overlap(box, [0, 0, view.width, view.height]);
      const room = seen ? nameRoom(box, this.sizes[which], view)
        .find((place) => !taken.some((other) => overlap(place, other))) : box;
      tag.style.visibility = room ? "" : "hidden";
      if (!room) continue;
      tag.style.left = `${room[0] - box[0]}px`;
      tag.style.top = `${room[1] - box[1]}px`;
      if (seen) taken.push(room);
    }
  }

  /** A box on the stage: left, top, right, bottom in screen px. */
  onStage(which, view) {
    const [left, top, right, bottom] = this.detections[which].xyxy;
    return [view.screenX(left), view.screenY(top), view.screenX(right), view.screenY(bottom)];
  }
}
