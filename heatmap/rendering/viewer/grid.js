// The maps and the windows: where their cells lie, and what is said of them.

const NOT_SCORED = 65535;
const PROBABILITY_STEPS = 65534;
// Classes that the tooltip lists for a place.
const MOST_SAID = 5;
const ARRAYS = { uint16: Uint16Array, uint32: Uint32Array };

/** A typed array from base64 of its little-endian values. */
function unpacked({ dtype, base64 }) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new ARRAYS[dtype](bytes.buffer);
}

/** The cells along one axis of the photo; positions are photo px. */
class Axis {
  constructor(cells, origin, scale, windowPx, stridePx) {
    Object.assign(this, { cells, origin, scale, windowPx, stridePx });
  }

  /** The fractional cell whose window is centred on a position. */
  cellAt(position) {
    return (position * this.scale - this.origin - this.windowPx / 2) / this.stridePx;
  }

  /** The same, at most as far as the outermost cells. */
  heldCellAt(position) {
    return Math.min(Math.max(this.cellAt(position), 0), this.cells - 1);
  }

  nearestCell(position) {
    return Math.floor(this.heldCellAt(position) + 0.5);
  }

  /** First and last position that the window of a cell sees. */
  window(cell) {
    const start = this.origin + cell * this.stridePx;
    return [start / this.scale, (start + this.windowPx) / this.scale];
  }
}

/** Cells over the photo, in rows and columns. */
class Lattice {
  constructor(geometry) {
    const { grid_hw, origin_yx, scale_yx, window_px, stride_px } = geometry;
    const axis = (i) => new Axis(grid_hw[i], origin_yx[i], scale_yx[i], window_px, stride_px);
    this.down = axis(0);
    this.across = axis(1);
    this.photo_hw = geometry.photo_hw;
  }

  get size() {
    return this.down.cells * this.across.cells;
  }

  /** The cell whose centre is nearest to a photo point. */
  nearestCell(x, y) {
    return { row: this.down.nearestCell(y), column: this.across.nearestCell(x) };
  }

  /** The cell of a row and column, or the nearest to it that there is. */
  cell(row, column) {
    const held = (place, { cells }) => Math.min(Math.max(place, 0), cells - 1);
    return { row: held(row, this.down), column: held(column, this.across) };
  }

  /** The window of a cell: left, top, right, bottom in photo px; it may reach past the photo. */
  window({ row, column }) {
    const [top, bottom] = this.down.window(row);
    const [left, right] = this.across.window(column);
    return [left, top, right, bottom];
  }
}

/** The maps of what was found or asked for. */
class Maps extends Lattice {
  constructor({ geometry, maps, probabilities }) {
    super(geometry);
    this.maps = maps;
    this.probabilities = unpacked(probabilities);
  }

  /** One class: its probability in every cell, and which were not scored (null: all were). */
  map(which) {
    const steps = this.probabilities.subarray(which * this.size, (which + 1) * this.size);
    const values = Float32Array.from(steps, (step) =>
      step === NOT_SCORED ? 0 : step / PROBABILITY_STEPS);
    const missing = steps.includes(NOT_SCORED)
      ? Uint8Array.from(steps, (step) => step === NOT_SCORED) : null;
    return { values, missing };
  }

  /** What the maps say of a cell, highest first; none where it was not scored. */
  saidOf({ row, column }) {
    const at = row * this.across.cells + column;
    const steps = this.maps.map((_, which) => this.probabilities[which * this.size + at]);
    if (steps[0] === NOT_SCORED) return [];
    return this.maps
      .map(({ name }, map) => ({ name, map, probability: steps[map] / PROBABILITY_STEPS }))
      .sort((one, other) => other.probability - one.probability)
      .slice(0, MOST_SAID);
  }

  countMissing() {
    let missing = 0;
    for (let at = 0; at < this.size; at++) missing += this.probabilities[at] === NOT_SCORED;
    return missing;
  }
}

/** The windows, where the score grid was saved: the strongest classes of each. */
class Windows extends Lattice {
  constructor({ geometry, classes, probabilities, ...strongest }) {
    super(geometry);
    this.strongest = {
      ...strongest,
      classes: unpacked(classes),
      probabilities: unpacked(probabilities),
    };
  }

  /** The strongest classes of a cell, best first; none where it was not scored. */
  saidOf({ row, column }) {
    const { count, classes, probabilities, names, maps } = this.strongest;
    const first = (row * this.across.cells + column) * count;
    if (probabilities[first] === NOT_SCORED) return [];
    return Array.from({ length: count }, (_, i) => ({
      name: names[classes[first + i]],
      map: maps[classes[first + i]],
      probability: probabilities[first + i] / PROBABILITY_STEPS,
    }));
  }
}
