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
  threshold: 0, // of the heat
  confidence: 0, // of the boxes and their rows
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
const boxes = new Boxes(byId("boxes"), data, maps.photo_hw, goTo);
const found = new FoundList(byId("found-list"), data, goTo);
const classes = new ClassList(
  { list: byId("class-list"), search: byId("search"), count: byId("class-count") },
  data.maps, choose);
const tip = new Tip({
  tip: byId("tip"), heading: byId("place-heading"), list: byId("strongest"),
  note: byId("place-note"), unpin: byId("unpin"),
}, data.windows ? "Window" : "Place", choose);
const link = new Link({ told, restore });

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
  const { offsetLeft, offsetTop, offsetWidth, offsetHeight } = byId("tools");
  boxes.arrange(view, [
    [offsetLeft, offsetTop, offsetLeft + offsetWidth, offsetTop + offsetHeight]]);
  showPlace();
  link.changed();
}

function drawLegend(colours) {
  const image = new ImageData(colours.length, 1);
  new Uint32Array(image.data.buffer).set(colours);
  byId("legend").getContext("2d").putImageData(image, 0, 0);
}

/** The photo point at a place on the stage, and its cell; null beside the photo. */
function spotUnder(place) {
  if (!place) return null;
  const [x, y] = [view.photoX(place.x), view.photoY(place.y)];
  const inside = x >= 0 && y >= 0 && x < photoWidth && y < photoHeight;
  return inside ? { x, y, cell: places.nearestCell(x, y) } : null;
}

/** The middle of a cell, as far as it lies on the photo. */
function spotOf(cell) {
  const [left, top, right, bottom] = places.window(cell);
  const held = (start, end, photoPx) => Math.min(Math.max((start + end) / 2, 0), photoPx - 1);
  return { x: held(left, right, photoWidth), y: held(top, bottom, photoHeight), cell };
}

let described = "";

/** Outline and describe the place that is pinned or pointed at. */
function showPlace() {
  const spot = shown.pinned ?? spotUnder(shown.pointer);
  const now = JSON.stringify([spot, Boolean(shown.pinned)]);
  if (now !== described) describe(spot);
  described = now;
  if (spot) tip.moveTo({ x: view.screenX(spot.x), y: view.screenY(spot.y) }, view);
}

function describe(spot) {
  const outline = byId("outline");
  outline.hidden = !spot;
  outline.classList.toggle("pinned", Boolean(shown.pinned));
  if (!spot) {
    tip.hide();
    return;
  }
  const [left, top, right, bottom] = places.window(spot.cell);
  placeInFrame(outline, [
    left / photoWidth, top / photoHeight, right / photoWidth, bottom / photoHeight]);
  const [acrossWhole, downWhole] = data.at;
  const inWhole = { ...spot, x: spot.x + acrossWhole, y: spot.y + downWhole };
  tip.show(inWhole, places.saidOf(spot.cell), Boolean(shown.pinned));
}

/** Pin a spot; null for none. */
function pin(spot) {
  shown.pinned = spot;
  drawSoon();
}

/** Pin the place so many cells on, from the pinned one or from the middle of the stage. */
function pinNext(down, right) {
  const from = shown.pinned ?? spotUnder({ x: view.width / 2, y: view.height / 2 });
  if (!from) return;
  pin(spotOf(places.cell(from.cell.row + down, from.cell.column + right)));
}

/** Show the map of a class. */
function choose(which) {
  shown.which = which;
  shown.map = maps.map(which);
  if (shown.selected !== null && data.detections[shown.selected].map !== which) shown.selected = null;
  classes.check(which);
  byId("shown").textContent = `Probability of ${data.maps[which].name}`;
  mark();
}

/** Select a detection, in the list and on the picture, and show its class; null for none. */
function select(which) {
  const map = which === null ? null : data.detections[which].map;
  if (map !== null) choose(map);
  shown.selected = which;
  mark();
}

/** Select a detection and bring it to the middle. */
function goTo(which) {
  select(which);
  // What is said of a place would cover it.
  pin(null);
  view.show(data.detections[which].xyxy);
}

function mark() {
  found.check(shown.selected);
  boxes.mark(shown.selected, shown.which);
  drawSoon();
}

const isConfident = (which) => data.detections[which].confidence >= shown.confidence;

/** Hide the boxes of less confidence, and their rows. */
function showConfident(confidence) {
  shown.confidence = confidence;
  boxes.limit(isConfident);
  byId("found-count").textContent = data.detections.length ? found.limit(isConfident) : "";
  classes.countDetections(data.maps.map((_, map) => data.guessed ? 0
    : data.detections.filter((one, which) => one.map === map && isConfident(which)).length));
  if (shown.selected !== null && !isConfident(shown.selected)) select(null);
}

/** Go to the detection of a place in the list, or where there is none show the class. */
function pick(which) {
  if (which < data.detections.length) {
    if (isConfident(which)) goTo(which);
  } else if (!data.detections.length && which < data.maps.length) choose(which);
}

/** Take back, one after the other, what was searched for, pinned and selected. */
function clear(target) {
  if (target === classes.search && target.value) classes.clearSearch();
  else if (shown.pinned) pin(null);
  else select(null);
}

function notify(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = false;
}

/** Follow a slider of per cent; gives its value as it opens, and a function that sets it. */
function slider(name, act) {
  const input = byId(name);
  const show = () => {
    byId(`${name}-value`).textContent = `${input.value}%`;
    act(input.value / 100);
    drawSoon();
  };
  input.addEventListener("input", show);
  show();
  const set = (value) => {
    input.value = value;
    show();
  };
  return { input, usual: input.value, set };
}

function fillTexts() {
  byId("title").textContent = data.title;
  byId("settings").textContent = data.settings;
  byId("warnings").append(...data.warnings.map((text) => element("p", "warning", text)));
  fillFacts(byId("about"), data.about);
  fillColours();
  fillFound();
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

function fillFound() {
  const { detections, guessed, notFound } = data;
  byId("not-found").replaceChildren(...notFound.map((answer) => element("p", "", answer)));
  byId("found-heading").textContent = !guessed ? "Detections"
    : detections.length ? "No detections; guesses" : "No detections";
  byId("found").hidden = byId("show-boxes").parentElement.hidden = !detections.length;
  // As fine as they are unsure.
  const most = [10, 20, 50, 100].find((end) => end >= (detections[0]?.confidence ?? 1) * 100);
  Object.assign(byId("confidence"), { max: most, step: most / 100 });
  const numbered = !detections.length ? "show the class" : guessed ? "go to the guess" : "go to the detection";
  byId("numbered").textContent = `${numbered} of that number`;
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
  };
  for (const [id, act] of Object.entries(clicks)) byId(id).addEventListener("click", act);
  byId("show-boxes").addEventListener("change", (event) => showBoxes(event.target.checked));
  new Pointers(stage, view, {
    pointed: (place) => {
      shown.pointer = place;
      // Nothing but the outline and the tooltip changes: no need to redraw the picture.
      showPlace();
    },
    clicked: (place) => pin(spotUnder(place) ?? shown.pinned),
  });
  listenToKeys(stage, view, { pinMiddle: () => pinNext(0, 0), pinNext, pick, clear });
  new ResizeObserver(() => view.resize(stage.clientWidth, stage.clientHeight)).observe(stage);
}

function showBoxes(wanted) {
  byId("show-boxes").checked = wanted;
  byId("boxes").hidden = !wanted;
  drawSoon();
}

/** What is shown, as far as it differs from how the page opens. */
function told() {
  const pairs = [];
  if (!view.fits) {
    const { zoom, x, y } = view.told();
    pairs.push(["zoom", zoom.toPrecision(4)], ["x", x.toFixed(2)], ["y", y.toFixed(2)]);
  }
  if (shown.which !== opening) pairs.push(["class", data.maps[shown.which].name]);
  if (shown.selected !== null) pairs.push(["box", shown.selected + 1]);
  if (shown.pinned) pairs.push(...Object.entries(shown.pinned.cell));
  if (!byId("show-boxes").checked) pairs.push(["boxes", "off"]);
  for (const [name, { input, usual }] of Object.entries(sliders)) {
    if (input.value !== usual) pairs.push([name, input.value]);
  }
  return pairs;
}

/** Show what was told; what is missing, or makes no sense, as the page opens. */
function restore(told) {
  const number = (name) => Number.parseFloat(told.get(name) ?? "");
  for (const [name, { usual, set }] of Object.entries(sliders)) {
    set(Number.isFinite(number(name)) ? number(name) : usual);
  }
  showBoxes(told.get("boxes") !== "off");
  const named = data.maps.findIndex(({ name }) => name === told.get("class"));
  choose(named < 0 ? opening : named);
  const box = number("box") - 1;
  select(box in data.detections && isConfident(box) ? box : null);
  const [row, column] = [number("row"), number("column")];
  const isCell = Number.isInteger(row) && Number.isInteger(column);
  pin(isCell ? spotOf(places.cell(row, column)) : null);
  const place = { zoom: number("zoom"), x: number("x"), y: number("y") };
  if (Object.values(place).every(Number.isFinite)) view.restore(place);
  else view.fit();
}

const opening = data.detections[0]?.map ?? 0; // the class that is shown first

fillTexts();
byId("opacity").value = Math.round(shown.opacity * 100);
const sliders = {
  confidence: slider("confidence", showConfident),
  opacity: slider("opacity", (value) => { shown.opacity = value; }),
  threshold: slider("threshold", (value) => { shown.threshold = value; }),
};
listenToTheme();
listenToControls();
view.resize(stage.clientWidth, stage.clientHeight);
link.follow();
