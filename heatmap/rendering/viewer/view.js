// The visible part of the photo: a zoom and a position. Screen px are those of the stage.

const MAX_ZOOM = 32;
// The smallest zoom, as a share of the one that fits.
const MIN_OF_FIT = 0.5;
// Room around the photo when it fits, as a share of the stage; and around an object.
const FIT_SHARE = 0.96;
const OBJECT_SHARE = 0.6;

class View {
  constructor(photoHW, changed) {
    this.photoHW = photoHW;
    this.changed = changed;
    this.width = this.height = this.zoom = 1;
    this.left = this.top = 0;
    this.fits = true;
  }

  photoX(screenX) { return (screenX - this.left) / this.zoom; }
  photoY(screenY) { return (screenY - this.top) / this.zoom; }
  screenX(photoX) { return this.left + photoX * this.zoom; }
  screenY(photoY) { return this.top + photoY * this.zoom; }

  /** The part of the stage that the photo covers, in whole pixels. */
  visible() {
    const [height, width] = this.photoHW;
    return {
      left: Math.max(0, Math.round(this.left)),
      top: Math.max(0, Math.round(this.top)),
      right: Math.min(this.width, Math.round(this.screenX(width))),
      bottom: Math.min(this.height, Math.round(this.screenY(height))),
    };
  }

  resize(width, height) {
    const x = this.photoX(this.width / 2);
    const y = this.photoY(this.height / 2);
    Object.assign(this, { width, height });
    if (this.fits) this.fit();
    else this.centre(x, y, this.zoom);
  }

  fit() {
    const [height, width] = this.photoHW;
    this.centre(width / 2, height / 2, this.fittingZoom());
    this.fits = true;
  }

  /** Bring a box to the middle, so large that its surroundings are seen too. */
  show([left, top, right, bottom]) {
    const zoom = Math.min(this.width / (right - left), this.height / (bottom - top));
    this.centre((left + right) / 2, (top + bottom) / 2, zoom * OBJECT_SHARE);
  }

  /** Zoom around a point of the stage, which keeps its place. */
  zoomBy(factor, x = this.width / 2, y = this.height / 2) {
    const zoom = this.allowed(this.zoom * factor);
    this.place(x - this.photoX(x) * zoom, y - this.photoY(y) * zoom, zoom);
  }

  move(x, y) {
    this.place(this.left + x, this.top + y, this.zoom);
  }

  /** The zoom as a multiple of the one that fits, and the photo point in the middle: for a link. */
  told() {
    return {
      zoom: this.zoom / this.fittingZoom(),
      x: this.photoX(this.width / 2),
      y: this.photoY(this.height / 2),
    };
  }

  restore({ zoom, x, y }) {
    this.centre(x, y, zoom * this.fittingZoom());
  }

  fittingZoom() {
    const [height, width] = this.photoHW;
    return FIT_SHARE * Math.min(this.width / width, this.height / height);
  }

  allowed(zoom) {
    const fitting = this.fittingZoom();
    return Math.min(Math.max(zoom, fitting * MIN_OF_FIT), Math.max(MAX_ZOOM, fitting));
  }

  centre(photoX, photoY, zoom) {
    const allowed = this.allowed(zoom);
    this.place(this.width / 2 - photoX * allowed, this.height / 2 - photoY * allowed, allowed);
  }

  /** The photo never leaves the middle of the stage. */
  place(left, top, zoom) {
    const [height, width] = this.photoHW;
    const held = (start, photoPx, stagePx) =>
      Math.min(Math.max(start, stagePx / 2 - photoPx * zoom), stagePx / 2);
    this.left = held(left, width, this.width);
    this.top = held(top, height, this.height);
    this.zoom = zoom;
    this.fits = false;
    this.changed();
  }
}
