// Mouse, touch and keys.

// A pointer that moves less than this between down and up has clicked.
const CLICK_PX = 4;
const KEY_ZOOM = 1.3;
const KEY_MOVE = 0.12; // of the stage
const WHEEL_ZOOM = 0.0016; // a pixel of the wheel's way
const LINE_PX = 30;

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Where some pointers are together: their middle, and how far they are apart. */
function gathered(points) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const x = mean(points.map((point) => point.x));
  const y = mean(points.map((point) => point.y));
  return { x, y, spread: mean(points.map((point) => Math.hypot(point.x - x, point.y - y))) };
}

/** Drags, pinches, clicks and the wheel on the stage. */
class Pointers {
  /** `pointed` gets the place that a mouse is over, or null; `clicked` that of a click or tap. */
  constructor(stage, view, { pointed, clicked }) {
    Object.assign(this, { stage, view, pointed, clicked });
    this.down = new Map();
    this.start = null; // null once the pointer that went down is dragging
    const listen = (type, act, options) => stage.addEventListener(type, act.bind(this), options);
    listen("pointerdown", this.press);
    listen("pointermove", this.move);
    listen("pointerup", this.release);
    listen("pointercancel", this.cancel);
    listen("pointerleave", () => this.pointed(null));
    listen("wheel", this.wheel, { passive: false });
  }

  place(event) {
    const { left, top } = this.stage.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  press(event) {
    // The names on the boxes are buttons and get their clicks themselves.
    if (event.button !== 0 || event.target.closest("button")) return;
    this.stage.setPointerCapture(event.pointerId);
    this.start = this.down.size === 0 ? this.place(event) : null;
    this.down.set(event.pointerId, this.place(event));
  }

  move(event) {
    const place = this.place(event);
    if (event.pointerType === "mouse") this.pointed(place);
    if (!this.down.has(event.pointerId)) return;
    if (this.start) {
      if (Math.hypot(place.x - this.start.x, place.y - this.start.y) < CLICK_PX) return;
      this.start = null;
      this.stage.classList.add("dragging");
    }
    const before = gathered([...this.down.values()]);
    this.down.set(event.pointerId, place);
    const after = gathered([...this.down.values()]);
    this.view.move(after.x - before.x, after.y - before.y);
    if (before.spread > 0) this.view.zoomBy(after.spread / before.spread, after.x, after.y);
  }

  release(event) {
    const clicked = this.down.has(event.pointerId) && this.start;
    this.cancel(event);
    if (clicked) this.clicked(this.place(event));
  }

  cancel(event) {
    this.down.delete(event.pointerId);
    this.start = null;
    this.stage.classList.remove("dragging");
  }

  wheel(event) {
    event.preventDefault();
    const { x, y } = this.place(event);
    const way = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PX : 1);
    this.view.zoomBy(Math.exp(-way * WHEEL_ZOOM), x, y);
  }
}

/** Keys of the whole page, but for those that a control needs itself. */
function listenToKeys(stage, view, { pinMiddle, pinNext, pick, clear }) {
  const acts = {
    "+": () => view.zoomBy(KEY_ZOOM),
    "=": () => view.zoomBy(KEY_ZOOM),
    "-": () => view.zoomBy(1 / KEY_ZOOM),
    0: () => view.fit(),
    Escape: clear,
  };
  for (let number = 1; number <= 9; number++) acts[number] = () => pick(number - 1);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key, target } = event;
    if (key !== "Escape" && target.matches("[type=search]")) return;
    const [right, down] = ARROWS[key] ?? [0, 0];
    if (right || down) {
      if (target.matches("input, summary")) return;
      if (event.shiftKey) pinNext(down, right);
      else view.move(-right * KEY_MOVE * view.width, -down * KEY_MOVE * view.height);
    } else if (key === "Enter" && target === stage) pinMiddle();
    else if (acts[key]) acts[key](target);
    else return;
    event.preventDefault();
  });
}
