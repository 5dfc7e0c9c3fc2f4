// The contact sheet: photos as cards, filtered by class, confidence, state and name.

const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);

// Cards made at once; more follow when the end of the list comes near.
const CHUNK = 120;
// Detections named on a card.
const NAMED = 4;

function element(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

const percent = (confidence) => `${Math.round(confidence * 100)}%`;
const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

function describeTotals() {
  const { done, failed, skipped } = data.counts;
  const parts = [plural(done, "photo done", "photos done")];
  if (failed) parts.push(`${failed} failed`);
  if (skipped) parts.push(plural(skipped, "other file skipped", "other files skipped"));
  at("totals").textContent = parts.join(" · ");
}

function fillClasses() {
  const photosOf = new Map();
  for (const photo of data.photos) {
    for (const name of new Set(photo.detections.map(([name]) => name))) {
      photosOf.set(name, (photosOf.get(name) ?? 0) + 1);
    }
  }
  const names = [...photosOf].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
  at("class").append(new Option("any", ""));
  for (const [name, count] of names) at("class").append(new Option(`${name} (${count})`, name));
}

// The detections of a photo that the filter asks for, most confident first.
function hits(photo, filter) {
  return photo.detections.filter(([name, confidence]) =>
    (!filter.class || name === filter.class) && confidence >= filter.conf);
}

function matches(photo, filter) {
  if (filter.text && !photo.name.toLowerCase().includes(filter.text)) return false;
  if (filter.state === "failed") return photo.message !== "";
  if (filter.state === "nothing") return photo.message === "" && photo.detections.length === 0;
  const asked = filter.state === "detected" || filter.class || filter.conf > 0;
  return !asked || hits(photo, filter).length > 0;
}

const best = (photo, filter) =>
  Math.max(-1, ...hits(photo, filter).map(([, confidence]) => confidence));

function card(photo, filter) {
  const item = element("li", "photo");
  const frame = element(photo.page ? "a" : "div");
  if (photo.page) frame.href = photo.page;
  const picture = element("div", "picture");
  if (photo.thumbnail) {
    const image = element("img");
    image.loading = "lazy";
    image.decoding = "async";
    image.src = photo.thumbnail;
    image.alt = `Overlay of ${photo.name}`;
    picture.append(image);
  } else {
    picture.append(element("p", "broken", "no picture"));
  }
  frame.append(picture, element("p", "name", photo.name));
  item.append(frame);
  if (photo.message) item.append(element("p", "message", photo.message));
  for (const note of photo.notes) item.append(element("p", "note", note));
  item.append(detectionList(photo, filter));
  return item;
}

function detectionList(photo, filter) {
  const list = element("ul", "detections");
  const asked = new Set(hits(photo, filter));
  const marked = Boolean(filter.class) || filter.conf > 0;
  const ordered = [...photo.detections].sort((a, b) => asked.has(b) - asked.has(a));
  for (const detection of ordered.slice(0, NAMED)) {
    const [name, confidence] = detection;
    const hit = marked && asked.has(detection);
    list.append(element("li", hit ? "hit" : "", `${name} ${percent(confidence)}`));
  }
  if (ordered.length > NAMED) list.append(element("li", "", `+ ${ordered.length - NAMED}`));
  if (!photo.message && !ordered.length) list.append(element("li", "", "no detections"));
  return list;
}

let queue = [];
let filter;

function more() {
  at("photos").append(...queue.splice(0, CHUNK).map((photo) => card(photo, filter)));
}

function show() {
  filter = {
    state: at("state").value,
    class: at("class").value,
    conf: Number(at("conf").value) / 100,
    text: at("search").value.trim().toLowerCase(),
  };
  at("conf-value").textContent = percent(filter.conf);
  queue = data.photos.filter((photo) => matches(photo, filter));
  if (at("order").value === "confidence") {
    const highest = new Map(queue.map((photo) => [photo, best(photo, filter)]));
    queue.sort((a, b) => highest.get(b) - highest.get(a));
  }
  at("shown").textContent = `${queue.length} of ${plural(data.photos.length, "photo", "photos")}`;
  at("nothing").hidden = queue.length > 0;
  at("photos").replaceChildren();
  more();
}

function watchEnd() {
  const end = element("div");
  at("photos").after(end);
  new IntersectionObserver(
    (entries) => {
      if (entries.some((entry) => entry.isIntersecting) && queue.length) more();
    },
    { rootMargin: "1200px" },
  ).observe(end);
}

describeTotals();
fillClasses();
at("filters").addEventListener("input", show);
at("filters").addEventListener("submit", (event) => event.preventDefault());
at("reset").addEventListener("click", () => {
  at("filters").reset();
  show();
});
show();
watchEnd();
