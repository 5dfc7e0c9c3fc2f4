// The page: its state, and updates when the state changes.

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const maps = new Maps(data);
// What can be pointed at: windows with all of their classes, or places on the maps.
const places = data.windows ? new Windows(data.windows) : maps;
const [lowest, highest] = data.range;
const [photoHeight, photoWidth] = maps.photo_hw;

const shown = {
  which: 0, // the class, by the index of its map
  map: maps.map(0),
  opacity: data.alpha,
  threshold: 0,
  pointer: null, // where the mouse is on the stage
  pinned: null, // a cell
  selected: null, // a detection
};

const stage = byId("stage");
const view = new View(maps.photo_hw, drawSoon);
const heat = new Heat(byId("heat"), maps);
const picture = new Picture(byId("picture"), data.photo, {
  loaded: () => {
    stage.setAttribute("aria-busy", "false");
    drawSoon();
  },
  changed: drawSoon,
  failed: () => notify("Tiles of the photo are missing: keep their folder beside this page."),
});
const boxes = new Boxes(byId("boxes"), data, maps.photo_hw, select);
const classes = new ClassList(
  { list: byId("class-list"), search: byId("search"), count: byId("class-count") },
  data.maps, choose);
const placePanel = new PlacePanel({
  heading: byId("window-heading"), list: byId("strongest"),
  note: byId("window-note"), unpin: byId("unpin"),
}, data.windows ? "window" : "place", choose);

let drawn = null; // the frame asked for

function drawSoon() {
  drawn ??= requestAnimationFrame(() => {
    drawn = null;
    draw();
  });
}

function draw() {
  const table = colourTable(data.colours, shown.opacity, shown.threshold, data.range);
  picture.draw(view);
  heat.draw(view, shown.map, { table, range: data.range });
  drawLegend(table);
  const frame = byId("frame");
  frame.style.left = `${view.left}px`;
  frame.style.top = `${view.top}px`;
  frame.style.width = `${photoWidth * view.zoom}px`;
  frame.style.height = `${photoHeight * view.zoom}px`;
  boxes.arrange(view);
  showPlace();
}

function drawLegend(colours) {
  const image = new ImageData(colours.length, 1);
  new Uint32Array(image.data.buffer).set(colours);
  byId("legend").getContext("2d").putImageData(image, 0, 0);
}

/** The cell that is nearest to a place on the stage; null beside the photo. */
function cellUnder(place) {
  if (!place) return null;
  const [x, y] = [view.photoX(place.x), view.photoY(place.y)];
  const inside = x >= 0 && y >= 0 && x < photoWidth && y < photoHeight;
  return inside ? places.nearestCell(x, y) : null;
}

let described = "";

/** Outline and describe the place that is pinned or pointed at. */
function showPlace() {
  const cell = shown.pinned ?? cellUnder(shown.pointer);
  const now = JSON.stringify([cell, Boolean(shown.pinned)]);
  if (now === described) return;
  described = now;
  const outline = byId("outline");
  outline.hidden = !cell;
  outline.classList.toggle("pinned", Boolean(shown.pinned));
  if (cell) {
    const [left, top, right, bottom] = places.window(cell);
    placeInFrame(outline, [
      left / photoWidth, top / photoHeight, right / photoWidth, bottom / photoHeight]);
  }
  placePanel.show(cell, cell ? places.saidOf(cell) : [], Boolean(shown.pinned));
}

function pin(cell) {
  shown.pinned = cell;
  drawSoon();
}

/** Pin the place so many cells on, from the pinned one or from the middle of the stage. */
function pinNext(down, right) {
  const from = shown.pinned ?? cellUnder({ x: view.width / 2, y: view.height / 2 });
  if (!from) return;
  const held = (cell, axis) => Math.min(Math.max(cell, 0), axis.cells - 1);
  pin({
    row: held(from.row + down, places.down),
    column: held(from.column + right, places.across),
  });
}

/** Show the map of a class. */
function choose(which) {
  shown.which = which;
  shown.map = maps.map(which);
  if (shown.selected !== null && data.detections[shown.selected].map !== which) shown.selected = null;
  classes.choose(which);
  byId("shown").textContent = `Probability of ${data.maps[which].name}`;
  mark();
  drawSoon();
}

/** Go to a detection: its class, its box, and the place in the middle of it. */
function select(which) {
  const { map, xyxy } = data.detections[which];
  const [left, top, right, bottom] = xyxy;
  shown.selected = which;
  if (map !== null) choose(map);
  else mark();
  view.show(xyxy);
  pin(places.nearestCell((left + right) / 2, (top + bottom) / 2));
}

function mark() {
  boxes.mark(shown.selected, shown.which);
  const place = shown.selected === null ? "–" : shown.selected + 1;
  byId("which").textContent = `${place} / ${data.detections.length}`;
}

/** Go on by so many detections, around the end. */
function step(by) {
  const count = data.detections.length;
  const from = shown.selected ?? (by > 0 ? -1 : count);
  select((from + by + count) % count);
}

function notify(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = false;
}

function showSlider(name, act) {
  const input = byId(name);
  const show = () => {
    byId(`${name}-value`).textContent = `${input.value}%`;
    act(input.value / 100);
    drawSoon();
  };
  input.addEventListener("input", show);
  show();
}

function fillTexts() {
  byId("title").textContent = data.title;
  byId("settings").textContent = data.settings;
  byId("warnings").append(...data.warnings.map((text) => element("p", "warning", text)));
  fillFacts(byId("about"), data.about);
  fillColours();
  fillDetections();
}

/** The legend and the slider of probabilities, which end where the colours do. */
function fillColours() {
  const end = percent(highest);
  const ticks = [0, 0.25, 0.5, 0.75].map((share) =>
    Number(((lowest + share * (highest - lowest)) * 100).toPrecision(3)));
  byId("legend").ariaLabel = `Colours from probability ${ticks[0]} on the left to ${end} on the right`;
  byId("ticks").replaceChildren(...[...ticks, end].map((text) => element("span", "", `${text}`)));
  Object.assign(byId("threshold"), { max: highest * 100, step: highest });
  const missing = maps.countMissing();
  byId("unscored").hidden = !missing;
  byId("unscored").lastChild.textContent = `Not scored: ${missing} of ${maps.size} windows`;
}

function fillDetections() {
  const count = data.detections.length;
  byId("detection-count").textContent = !count ? "No detections"
    : !data.guessed ? `Boxes of ${countDetections(count)}`
      : `No detections; boxes of the best ${count === 1 ? "guess" : `${count} guesses`}`;
  byId("show-boxes").disabled = !count;
  byId("stepper").hidden = !count;
  for (const [id, word] of [["previous", "Previous"], ["next", "Next"]]) {
    byId(id).title = byId(id).ariaLabel = `${word} ${data.guessed ? "guess" : "detection"}`;
  }
}

function listenToTheme() {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const show = (dark) => {
    root.dataset.theme = dark ? "dark" : "light";
    byId("theme").setAttribute("aria-pressed", dark);
  };
  system.addEventListener("change", () => show(system.matches));
  byId("theme").addEventListener("click", () => show(root.dataset.theme !== "dark"));
  show(system.matches);
}

function listenToControls() {
  const clicks = {
    "zoom-in": () => view.zoomBy(KEY_ZOOM),
    "zoom-out": () => view.zoomBy(1 / KEY_ZOOM),
    "zoom-fit": () => view.fit(),
    unpin: () => pin(null),
    previous: () => step(-1),
    next: () => step(1),
  };
  for (const [id, act] of Object.entries(clicks)) byId(id).addEventListener("click", act);
  byId("show-boxes").addEventListener("change", (event) => {
    byId("boxes").hidden = !event.target.checked;
  });
  byId("opacity").value = Math.round(shown.opacity * 100);
  showSlider("opacity", (value) => { shown.opacity = value; });
  showSlider("threshold", (value) => { shown.threshold = value; });
  new Pointers(stage, view, {
    pointed: (place) => {
      shown.pointer = place;
      // Nothing but the outline changes: no need to redraw the picture.
      showPlace();
    },
    clicked: (place) => pin(cellUnder(place) ?? shown.pinned),
  });
  listenToKeys(stage, view, {
    pinMiddle: () => pinNext(0, 0),
    pinNext,
    unpin: () => pin(null),
  });
  new ResizeObserver(() => view.resize(stage.clientWidth, stage.clientHeight)).observe(stage);
}

fillTexts();
listenToTheme();
listenToControls();
choose(data.detections[0]?.map ?? 0);
