// The photo: an embedded picture, and for a large photo tiles over it.

// A picture is drawn from halves of itself, down to about this: quick, and without moiré.
const SMALLEST_HALF_PX = 512;
// From this zoom on pixels are shown as squares.
const SQUARE_PIXELS_ZOOM = 4;
const MOST_TILES_KEPT = 300;

/** A picture and its halves, largest first. */
function halvings(image) {
  const all = [image];
  let [width, height] = [image.naturalWidth, image.naturalHeight];
  while (Math.max(width, height) > SMALLEST_HALF_PX) {
    const half = document.createElement("canvas");
    half.width = width = Math.max(1, Math.round(width / 2));
    half.height = height = Math.max(1, Math.round(height / 2));
    const context = half.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(all.at(-1), 0, 0, width, height);
    all.push(half);
  }
  return all;
}

/** The tiles of an image pyramid that the view shows, loaded as they are needed. */
class Tiles {
  constructor({ url, tile_px, levels }, { changed, failed }) {
    Object.assign(this, { url, tilePx: tile_px, levels, changed, failed });
    this.images = new Map();
  }

  draw(context, view, ratio) {
    // The coarsest level that is fine enough: each next one has half the size.
    const wanted = Math.floor(-Math.log2(view.zoom * ratio));
    const level = Math.min(Math.max(wanted, 0), this.levels - 1);
    const side = this.tilePx * 2 ** level; // of a tile, in photo px
    const { left, top, right, bottom } = view.visible();
    const [firstRow, lastRow] = this.span(view.photoY(top), view.photoY(bottom), view.photoHW[0], side);
    const [firstColumn, lastColumn] = this.span(
      view.photoX(left), view.photoX(right), view.photoHW[1], side);
    for (let row = firstRow; row <= lastRow; row++) {
      for (let column = firstColumn; column <= lastColumn; column++) {
        this.drawTile(context, view, ratio, { level, row, column, side });
      }
    }
    this.forgetOldest();
  }

  /** The first and the last tile between two positions on the photo. */
  span(start, end, photoPx, side) {
    const last = Math.ceil(photoPx / side) - 1;
    return [Math.max(0, Math.floor(start / side)), Math.min(last, Math.floor(end / side))];
  }

  drawTile(context, view, ratio, { level, row, column, side }) {
    const image = this.tile(level, row, column);
    if (!image.naturalWidth) return;
    const scale = side / this.tilePx;
    // To whole pixels of the screen: tiles that share one would show a seam.
    const onScreen = (screenPx) => Math.round(screenPx * ratio);
    const x = onScreen(view.screenX(column * side));
    const y = onScreen(view.screenY(row * side));
    const right = onScreen(view.screenX(column * side + image.naturalWidth * scale));
    const bottom = onScreen(view.screenY(row * side + image.naturalHeight * scale));
    context.drawImage(image, x, y, right - x, bottom - y);
  }

  tile(level, row, column) {
    const url = this.url.replace("{level}", level).replace("{row}", row).replace("{column}", column);
    const image = this.images.get(url) ?? this.load(url);
    // The most recently used come last.
    this.images.delete(url);
    this.images.set(url, image);
    return image;
  }

  load(url) {
    const image = new Image();
    image.onload = this.changed;
    image.onerror = this.failed;
    image.src = url;
    return image;
  }

  forgetOldest() {
    for (const url of this.images.keys()) {
      if (this.images.size <= MOST_TILES_KEPT) return;
      this.images.delete(url);
    }
  }
}

class Picture {
  /** `loaded` is called when the picture is there, `changed` when a tile is, `failed` for none. */
  constructor(canvas, { image, tiles }, { loaded, changed, failed }) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.halves = [];
    this.tiles = tiles && new Tiles(tiles, { changed, failed });
    const picture = new Image();
    picture.onload = () => {
      this.halves = halvings(picture);
      loaded();
    };
    picture.src = image;
  }

  draw(view) {
    const ratio = window.devicePixelRatio;
    const { canvas, context } = this;
    canvas.width = Math.round(view.width * ratio);
    canvas.height = Math.round(view.height * ratio);
    if (!this.halves.length) return;
    const [height, width] = view.photoHW;
    const wanted = width * view.zoom * ratio;
    const fine = this.halves.filter((half) => (half.naturalWidth ?? half.width) >= wanted);
    context.imageSmoothingQuality = "high";
    context.imageSmoothingEnabled = view.zoom < SQUARE_PIXELS_ZOOM;
    const [x, y] = [view.left * ratio, view.top * ratio];
    context.drawImage(fine.at(-1) ?? this.halves[0], x, y, wanted, height * view.zoom * ratio);
    // Tiles where the resolution of the embedded picture is too low.
    if (this.tiles && !fine.length) this.tiles.draw(context, view, ratio);
  }
}
