// The heatmap: cells interpolated to screen pixels, then coloured.

// Where windows were not scored: stripes as in the pictures that heatmap draws.
const STRIPE_PX = 4;
const STRIPES = [colourOf([80, 80, 80, 215]), colourOf([50, 50, 50, 215])];

/** RGBA as the 32 bits of a canvas pixel. */
function colourOf([red, green, blue, alpha]) {
  return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** The 256 colours of the probabilities of a range, those up to the threshold clear. */
function colourTable(colours, opacity, threshold, [lowest, highest]) {
  return Uint32Array.from(colours, ([red, green, blue, alpha], level) =>
    lowest + (level / 255) * (highest - lowest) <= threshold ? 0 : colourOf([red, green, blue, Math.round(alpha * opacity)]));
}

/** For screen pixels along an axis: the cell before each, how far past it, and the nearest. */
function placesAlong(axis, first, count, toPhoto) {
  const low = new Int32Array(count);
  const part = new Float32Array(count);
  const nearest = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const position = toPhoto(first + i + 0.5);
    const cell = axis.heldCellAt(position);
    low[i] = Math.floor(cell);
    part[i] = cell - low[i];
    nearest[i] = axis.nearestCell(position);
  }
  return { low, part, nearest };
}

/** Linear between cell centres, which lie on their pixels; past the outermost the edge value. */
function paintValues(pixels, { values }, down, across, columns, { table, range: [lowest, highest] }) {
  const width = across.low.length;
  const row = new Float32Array(columns + 1);
  for (let y = 0; y < down.low.length; y++) {
    const above = down.low[y] * columns;
    const below = down.part[y] > 0 ? above + columns : above;
    for (let column = 0; column < columns; column++) {
      const value = values[above + column];
      row[column] = value + down.part[y] * (values[below + column] - value);
    }
    for (let x = 0, at = y * width; x < width; x++, at++) {
      const low = across.low[x];
      const value = row[low] + across.part[x] * (row[low + 1] - row[low]);
      pixels[at] = table[Math.round(255 * Math.min(1, Math.max(0, (value - lowest) / (highest - lowest))))];
    }
  }
}

function paintHatching(pixels, { missing }, down, across, columns) {
  const width = across.nearest.length;
  for (let y = 0; y < down.nearest.length; y++) {
    for (let x = 0; x < width; x++) {
      if (missing[down.nearest[y] * columns + across.nearest[x]]) {
        pixels[y * width + x] = STRIPES[Math.floor((x + y) / STRIPE_PX) % 2];
      }
    }
  }
}

class Heat {
  constructor(canvas, maps) {
    this.context = canvas.getContext("2d");
    this.canvas = canvas;
    this.maps = maps;
  }

  /** Paint a map over what the view shows of the photo; `colours` are { table, range }. */
  draw(view, map, colours) {
    this.canvas.width = view.width;
    this.canvas.height = view.height;
    const { left, top, right, bottom } = view.visible();
    if (right <= left || bottom <= top) return;
    const image = new ImageData(right - left, bottom - top);
    const pixels = new Uint32Array(image.data.buffer);
    const { down, across } = this.maps;
    const rows = placesAlong(down, top, image.height, (y) => view.photoY(y));
    const columns = placesAlong(across, left, image.width, (x) => view.photoX(x));
    paintValues(pixels, map, rows, columns, across.cells, colours);
    if (map.missing) paintHatching(pixels, map, rows, columns, across.cells);
    this.context.putImageData(image, left, top);
  }
}
